//! `vultus people`, and names wherever the command line tells of people.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};

use super::cli::{face, failure, json_lines, success, text, vultus};
use crate::harness::{Call, Door, Native, Program, Registered, axis};

const OBAMA: &str = "obama-portrait.jpg";
const BIDEN: &str = "biden-portrait.jpg";

struct People {
    directory: tempfile::TempDir,
}

impl People {
    fn new() -> People {
        let directory = tempfile::tempdir().unwrap();
        People { directory }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a portrait there.
    fn put(&self, portrait: &str, name: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(face(portrait), path).unwrap();
    }

    fn run(&self, verb: &[&str], more: &[&str]) -> Output {
        let data = self.at("data");
        let common = ["--data-dir", text(&data), "--partition", "bws.1"];
        vultus(&[verb, &common, more].concat())
    }

    fn people(&self, verb: &str, more: &[&str]) -> Output {
        self.run(&["people", verb], more)
    }

    fn listed(&self) -> Vec<Value> {
        json_lines(&success(&self.people("list", &["--json"])))
    }

    fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// Templates of a class each, without pictures.
    fn import(&self, classes: &[i64]) {
        let lines: Vec<String> = classes
            .iter()
            .map(|class| {
                let values = axis(usize::try_from(*class).unwrap() % 16);
                json!({ "class": class, "embedding": values, "time": 1000 }).to_string()
            })
            .collect();
        let file = self.write("templates.jsonl", &lines.join("\n"));
        let import = ["gallery", "import", "--encoder", "test@1", text(&file)];
        success(&self.run(&import, &[]));
    }
}

fn said(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn name_of(person: &Value) -> (&str, i64) {
    let name = person["name"].as_str().unwrap_or("-");
    (name, person["class"].as_i64().unwrap())
}

#[test]
fn folders_are_named_after_people() {
    let people = People::new();
    people.put(OBAMA, "people/Barack Obama/a.jpg");
    people.put(BIDEN, "people/7/a.jpg");
    let folder = people.at("people");
    let enrolled = people.run(&["enroll", "--json"], &[text(&folder)]);
    let lines = json_lines(&success(&enrolled));
    let named: Vec<&Value> = lines
        .iter()
        .filter(|line| line["name"].is_string())
        .collect();
    assert_eq!(
        (named.len(), &named[0]["name"]),
        (1, &json!("Barack Obama"))
    );
    let class = named[0]["class"].as_i64().unwrap();
    assert!(class > 0 && class != 7, "{class}");
    // Again, and in other letters: the same person, who has the pictures already.
    let again = people.run(&["enroll"], &[text(&folder)]);
    success(&again);
    assert!(
        said(&again).contains("2 of them there already"),
        "{}",
        said(&again)
    );
    fs::rename(folder.join("Barack Obama"), folder.join("BARACK  OBAMA")).unwrap();
    success(&people.run(&["enroll"], &[text(&folder)]));
    let listed = people.listed();
    let mut found: Vec<(&str, i64)> = listed.iter().map(name_of).collect();
    found.sort_unstable();
    assert_eq!(found, [("-", 7), ("Barack Obama", class)]);
    // Names come first wherever somebody is told of.
    let picture = people.at("people/BARACK  OBAMA/a.jpg");
    let table = success(&people.run(&["identify"], &[text(&picture)]));
    assert!(table.contains("Barack Obama"), "{table}");
    let line = json_lines(&success(
        &people.run(&["identify", "--json"], &[text(&picture)]),
    ));
    assert_eq!(line[0]["matches"][0]["name"], "Barack Obama");
    // A picture by name, and a folder that nobody can tell.
    let more = people.run(&["enroll", "--name", "barack obama"], &[text(&picture)]);
    success(&more);
    assert_eq!(people.listed().len(), 2);
    for (folders, words) in [
        (["Ada", "ADA"], "are named after the same person"),
        (["Ada", "Louis14"], "is `"),
        (["Ada", "-2"], "which class is"),
        (["Ada\u{202e}", "Bob"], "is not named after a person"),
    ] {
        let people = People::new();
        for folder in folders {
            people.put(OBAMA, &format!("people/{folder}/a.jpg"));
        }
        let refused = failure(&people.run(&["enroll"], &[text(&people.at("people"))]));
        assert!(refused.contains(words), "{folders:?}: {refused}");
        assert!(!people.at("data").exists(), "nothing is begun");
    }
}

#[test]
fn people_are_listed_shown_renamed_merged_and_removed() {
    let people = People::new();
    people.import(&[1, 2, 3, 4]);
    let rename = |who: &str, name: &str| people.people("rename", &[who, name]);
    success(&rename("1", "Ada Lovelace"));
    success(&rename("2", "Bob"));
    success(&rename("3", "BOB"));
    assert_eq!(
        said(&rename("3", "bob"))
            .matches("1 other person has")
            .count(),
        1
    );
    let table = success(&people.people("list", &[]));
    assert!(
        table.contains("Ada Lovelace") && table.find("Ada") < table.find('4'),
        "{table}"
    );
    let shown = success(&people.people("show", &["ada lovelace"]));
    assert!(shown.starts_with("Ada Lovelace\n  class: 1"), "{shown}");
    let found = json_lines(&success(
        &people.people("list", &["--name-prefix", "BO", "--json"]),
    ));
    assert_eq!(found.len(), 2);
    for (output, words) in [
        (
            people.people("show", &["bob"]),
            "several people in bws.1 have that name: classes 2, 3",
        ),
        (people.people("remove", &["Bob"]), "name one by its number"),
        (
            people.people("remove", &["1", "nobody"]),
            "nobody in bws.1 has that name",
        ),
        (
            people.people("merge", &["1", "1"]),
            "cannot be merged with itself",
        ),
        (people.people("merge", &["1", "99"]), "is not enrolled"),
        (rename("1", ""), "the name is empty"),
        (rename("1", "A\u{202e}B"), "turns the direction of writing"),
        (rename("1", &"n".repeat(10_000)), "10000 characters"),
        (rename("99", "Nobody"), "is not enrolled"),
    ] {
        let refused = failure(&output);
        assert!(refused.contains(words), "{refused}");
        assert_eq!(people.listed().len(), 4);
    }
    assert_eq!(people.people("show", &["99"]).status.code(), Some(1));
    success(&people.people("merge", &["2", "3"]));
    success(&people.people("remove", &["bob", "4"]));
    assert_eq!(
        people.listed().iter().map(name_of).collect::<Vec<_>>(),
        [("Ada Lovelace", 1)]
    );
    assert_eq!(people.people("remove", &["4"]).status.code(), Some(1));
}

#[test]
fn who_people_are_goes_out_and_comes_back() {
    let people = People::new();
    people.import(&[1, 2, 3]);
    let staff = "class,name,external_id,labels,note,expires,threshold,not_same_as\n\
                 1,Ada Lovelace,E-1,site:berlin;team:a,\"agreed, on paper\",2100-01-01T00:00:00Z,0.5,2\n\
                 2,Бой,,,,,,\n";
    let file = people.write("staff.csv", staff);
    success(&people.people("import", &[text(&file)]));
    for name in ["out.csv", "out.jsonl"] {
        let out = people.at(name);
        success(&people.people("export", &[text(&out)]));
        let refused = failure(&people.people("export", &[text(&out)]));
        assert!(refused.contains("exists"), "{refused}");
        success(&people.people("export", &[text(&out), "--overwrite"]));
        // Read into a gallery of nameless people, it is the same.
        let other = People::new();
        other.import(&[1, 2, 3]);
        success(&other.people("import", &[text(&out)]));
        assert_eq!(other.listed(), people.listed(), "{name}");
    }
    let lines = fs::read_to_string(people.at("out.jsonl")).unwrap();
    assert_eq!(success(&people.people("export", &["-"])), lines);
    let first = &people.listed()[0];
    assert_eq!(first["labels"], json!({ "site": "berlin", "team": "a" }));
    assert_eq!(
        (&first["note"], &first["not_same_as"]),
        (&json!("agreed, on paper"), &json!([2]))
    );
    // By external id alone, and each wrong line by itself.
    let file = people.write(
        "more.csv",
        "external_id,name,labels,class\nE-1,Ada King,,\nE-9,Nobody,,\nE-1,,site,\n,,,7\n,,,x\n,\u{1},,3\nE-1,,,3\n",
    );
    let imported = people.people("import", &[text(&file)]);
    assert_eq!(imported.status.code(), Some(1));
    let told = said(&imported);
    for words in [
        "line 3: nobody has that external id",
        "line 4: a label is a key and a value",
        "line 5: `bws.1.7` is not enrolled",
        "line 6: the class is no whole number",
        "line 7: the name has the character U+0001",
        "line 8: the external id is that of `bws.1.1` already",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("Nobody"), "{told}");
    assert_eq!(people.listed()[0]["name"], "Ada King");
    for (name, contents, words) in [
        ("a.txt", "", "must end in .csv or .jsonl"),
        (
            "a.csv",
            "class,nmae\n1,Ada\n",
            "a column has none of the names",
        ),
        ("b.csv", "name\nAda\n", "neither a column `class`"),
        ("c.csv", "class,name\n1\n", "another number of columns"),
    ] {
        let file = people.write(name, contents);
        let refused = failure(&people.people("import", &[text(&file)]));
        assert!(refused.contains(words), "{name}: {refused}");
    }
    let lines = people.write(
        "a.jsonl",
        "{\"class\":\"1\",\"name\":\"Grace\"}\n\n{\"nmae\":1}\n",
    );
    let imported = people.people("import", &[text(&lines)]);
    assert!(
        said(&imported).contains("line 3: it is no person"),
        "{}",
        said(&imported)
    );
    assert_eq!(people.listed()[0]["name"], "Grace");
}

#[test]
fn people_whose_time_is_over_are_listed_and_deleted() {
    let people = People::new();
    people.import(&[1, 2]);
    let file = people.write(
        "staff.csv",
        "class,name,expires\n1,Ada,2001-01-01T00:00:00Z\n2,Bob,\n",
    );
    success(&people.people("import", &[text(&file)]));
    let dry = json_lines(&success(&people.people("expire", &["--dry-run", "--json"])));
    assert_eq!(
        (dry.len(), name_of(&dry[0]), &dry[0]["deleted"]),
        (1, ("Ada", 1), &json!(false))
    );
    assert_eq!(people.listed().len(), 2);
    // What is given to them would go with them.
    let line = |class: i64| json!({ "class": class, "embedding": axis(7) }).to_string();
    let file = people.write("more.jsonl", &[line(1), line(2)].join("\n"));
    let import = ["gallery", "import", "--encoder", "test@1", text(&file)];
    for more in [&["--dry-run"][..], &[]] {
        let output = people.run(&import, more);
        assert_eq!(output.status.code(), Some(1), "{more:?}: {output:?}");
    }
    let refused = fs::read_to_string(people.at("more.jsonl.refused.jsonl")).unwrap();
    assert!(refused.contains("the time of class 1 is over"), "{refused}");
    assert_eq!(refused.lines().count(), 1, "{refused}");
    let merged = failure(&people.people("merge", &["2", "1"]));
    assert!(merged.contains("is over"), "{merged}");
    let gone = json_lines(&success(&people.people("expire", &["--json"])));
    assert_eq!(
        (&gone[0]["class"], &gone[0]["overwritten"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(people.listed().len(), 1);
    assert!(success(&people.people("expire", &["--json"])).is_empty());
}

/// A directory that a service has: commands have it do their work.
#[test]
fn people_are_managed_beside_a_service_and_names_are_in_no_log() {
    let people = People::new();
    let data = people.at("data");
    let registered = Registered::create(&data);
    people.import(&[1, 2, 3]);
    let log = people.at("log");
    let server = Program::start_with_stderr(&data, &registered, fs::File::create(&log).unwrap());
    let secret = "Zaphodine Beeblebrox";
    success(&people.people("rename", &["1", secret]));
    success(&people.people("rename", &["2", secret]));
    failure(&people.people("rename", &[secret, "Trillian Nobody"]));
    failure(&people.people("rename", &["9", "Trillian Nobody"]));
    let file = people.write(
        "staff.csv",
        "class,name,expires\n3,Trillian Nobody,2001-01-01T00:00:00Z\n",
    );
    success(&people.people("import", &[text(&file)]));
    success(&people.people("merge", &["1", "2"]));
    success(&people.people("expire", &[]));
    let path = "partitions/bws.1/classes?name=zaphodine+beeblebrox";
    let key = server.key();
    let found = server
        .send(Call::new("GET", format!("/v1/{path}")).by_bearer(&key))
        .json();
    assert_eq!(found["classes"].as_array().unwrap().len(), 1);
    let patched = json!({ "name": "Trillian Nobody", "note": "of Zaphodine Beeblebrox" });
    let answer = server.call_by(&key, "PATCH", "partitions/bws.1/classes/1", patched);
    assert_eq!(answer.status, 200);
    success(&people.people("remove", &["Trillian Nobody"]));
    assert!(people.listed().is_empty());
    server.terminate();
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("people rename"), "{log}");
    for part in ["Zaphodine", "zaphodine", "Trillian", "Nobody", "Beeblebrox"] {
        assert!(!log.contains(part), "{part}: {log}");
    }
}
