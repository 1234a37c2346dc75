//! Files of others as probes and as galleries: names of columns, ids, numbers of every kind.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::cli::{embeddings, failure, json_lines, npy, random_rows, success, text, vultus};

/// A gallery of ten people with the classes 1 to 10, and a place for probes.
struct Place {
    directory: tempfile::TempDir,
    rows: Vec<Vec<f32>>,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let rows = random_rows(10, 16, 1);
        let place = Place { directory, rows };
        embeddings(&place.at("rows.npy"), &place.rows);
        place.import("bws.1", "rows.npy", &[]);
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, verb: &[&str], partition: &str, more: &[&str]) -> std::process::Output {
        let data = self.at("data");
        let common = ["--data-dir", text(&data), "--partition", partition];
        vultus(&[verb, &common, more].concat())
    }

    fn import(&self, partition: &str, name: &str, more: &[&str]) {
        let file = self.at(name);
        let import = ["gallery", "import", "--encoder", "test", text(&file)];
        success(&self.run(&import, partition, more));
    }

    fn ask(&self, name: &str, more: &[&str]) -> std::process::Output {
        let file = self.at(name);
        let ask = ["identify", "--top", "1", "--embeddings", text(&file)];
        self.run(&ask, "bws.1", more)
    }

    /// What the probes of a file are called, and whom each shows.
    fn answers(&self, name: &str, more: &[&str]) -> Vec<(serde_json::Value, i64)> {
        let lines = success(&self.ask(name, &[more, &["--json"]].concat()));
        let lines = json_lines(&lines).into_iter();
        let class = |line: &serde_json::Value| line["matches"][0]["class"].as_i64().unwrap();
        lines
            .map(|line| (line["id"].clone(), class(&line)))
            .collect()
    }

    /// Probes as JSON lines, with this before each embedding.
    fn lines(&self, name: &str, before: impl Fn(usize) -> String, member: &str) {
        let line = |(at, row): (usize, &Vec<f32>)| {
            let values = serde_json::to_string(row).unwrap();
            format!("{{{}\"{member}\":{values}}}\n", before(at))
        };
        let lines: String = self.rows.iter().enumerate().map(line).collect();
        fs::write(self.at(name), lines).unwrap();
    }
}

/// What stands before the embedding of a line, and what that calls it.
type Member = fn(usize) -> String;
type Name = fn(usize) -> serde_json::Value;

#[test]
fn probes_of_lines_keep_their_names() {
    let place = Place::new();
    let cases: [(Member, Name); 4] = [
        (
            |at| format!("\"id\":\"p{at}\","),
            |at| format!("p{at}").into(),
        ),
        (|at| format!("\"id\":{at},\"class\":5,"), |at| at.into()),
        (
            |at| format!("\"class\":\"c{at}\","),
            |at| format!("c{at}").into(),
        ),
        (|_| String::new(), |_| serde_json::Value::Null),
    ];
    for (before, id) in cases {
        place.lines("probes.jsonl", before, "embedding");
        let expected: Vec<_> = (0..10).map(|at| (id(at), at as i64 + 1)).collect();
        assert_eq!(place.answers("probes.jsonl", &[]), expected);
    }
    place.lines("named.jsonl", |at| format!("\"name\":\"n{at}\","), "vector");
    let names = ["--embedding-column", "vector", "--id-column", "name"];
    assert_eq!(place.answers("named.jsonl", &names)[3], ("n3".into(), 4));
    let output = place.at("answers.jsonl");
    let to_file = [&names[..], &["--output", text(&output)]].concat();
    success(&place.ask("named.jsonl", &to_file));
    let lines = json_lines(&fs::read_to_string(&output).unwrap());
    assert_eq!(lines[9]["id"], "n9");
    let people = success(&place.ask("named.jsonl", &names));
    assert!(people.contains("probe 3 (n3)"), "{people}");

    // What is no probe is named, all of it, and nothing is answered.
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(place.at("named.jsonl"))
        .unwrap();
    file.write_all(b"{}\nnonsense\n").unwrap();
    let said = failure(&place.ask("named.jsonl", &names));
    assert!(said.contains("2 of 12 rows"), "{said}");
    assert!(said.contains("row 10: missing field `vector`"), "{said}");
    assert!(said.contains("row 11: column 2 is no JSON"), "{said}");
    fs::write(place.at("none.jsonl"), "{}\n[]\n").unwrap();
    let said = failure(&place.ask("none.jsonl", &[]));
    assert!(said.contains("2 of 2 rows"), "{said}");
}

#[test]
fn lines_are_imported_by_the_names_of_their_members() {
    let place = Place::new();
    place.lines(
        "own.jsonl",
        |at| format!("\"who\":\"{}\",", at + 70),
        "vector",
    );
    let names = ["--class-column", "who", "--embedding-column", "vector"];
    place.import("bws.2", "own.jsonl", &names);
    let rows = place.at("rows.npy");
    let ask = [
        "identify",
        "--json",
        "--top",
        "1",
        "--embeddings",
        text(&rows),
    ];
    let lines = json_lines(&success(&place.run(&ask, "bws.2", &[])));
    assert_eq!(lines[0]["matches"][0]["class"], 70);
    let import = ["gallery", "import", "--encoder", "test", text(&rows)];
    let said = failure(&place.run(&import, "bws.3", &["--class-column", "who"]));
    assert!(said.contains("none is called `who`"), "{said}");
}

#[test]
fn arrays_of_other_kinds_are_converted_and_said_to_be() {
    let place = Place::new();
    let wide: Vec<f64> = place.rows.concat().into_iter().map(f64::from).collect();
    npy(
        &place.at("wide.npy"),
        "<f8",
        "(10, 16)",
        bytemuck::cast_slice(&wide),
    );
    let classes: Vec<u32> = (0..10).map(|at| 4_000_000_000 + at).collect();
    npy(
        &place.at("classes.npy"),
        "<u4",
        "(10,)",
        bytemuck::cast_slice(&classes),
    );
    let (file, list) = (place.at("wide.npy"), place.at("classes.npy"));
    let import = ["gallery", "import", "--encoder", "test", text(&file)];
    let done = place.run(&import, "bws.2", &["--classes", text(&list)]);
    let said = String::from_utf8(done.stderr.clone()).unwrap();
    success(&done);
    assert!(said.contains("`<f8`") && said.contains("`<u4`"), "{said}");
    let asked = place.run(
        &["identify", "--json", "--embeddings", text(&file)],
        "bws.2",
        &[],
    );
    let said = String::from_utf8(asked.stderr.clone()).unwrap();
    assert!(said.contains("`<f8`"), "{said}");
    let lines = json_lines(&success(&asked));
    assert_eq!(lines[0]["matches"][0]["class"], 4_000_000_000_u64);
}

#[cfg(feature = "npz")]
#[test]
fn archives_are_probes_with_names_of_their_own() {
    let place = Place::new();
    let write = |name: &str, arrays: &[(&str, &str, &str, &[u8])]| {
        let file = fs::File::create(place.at(name)).unwrap();
        let mut archive = zip::ZipWriter::new(file);
        for (array, descr, shape, values) in arrays {
            let options = zip::write::SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Stored);
            archive.start_file(format!("{array}.npy"), options).unwrap();
            let one = place.at("one.npy");
            npy(&one, descr, shape, values);
            archive.write_all(&fs::read(&one).unwrap()).unwrap();
        }
        archive.finish().unwrap();
    };
    let values = place.rows.concat();
    let values: &[u8] = bytemuck::cast_slice(&values);
    let numbers: Vec<i64> = (100..110).collect();
    let numbers: &[u8] = bytemuck::cast_slice(&numbers);
    let texts: Vec<u32> = (0..10_u32)
        .flat_map(|at| [u32::from('p'), 48 + at, 0])
        .collect();
    let texts: &[u8] = bytemuck::cast_slice(&texts);
    let embeddings = ("embeddings", "<f4", "(10, 16)", values);
    write("a.npz", &[embeddings]);
    assert_eq!(place.answers("a.npz", &[])[4], (serde_json::Value::Null, 5));
    write("b.npz", &[embeddings, ("classes", "<i8", "(10,)", numbers)]);
    assert_eq!(place.answers("b.npz", &[])[4], (104.into(), 5));
    let ids = ("ids", "<U3", "(10,)", texts);
    write(
        "c.npz",
        &[embeddings, ("classes", "<i8", "(10,)", numbers), ids],
    );
    assert_eq!(place.answers("c.npz", &[])[4], ("p4".into(), 5));
    write(
        "d.npz",
        &[
            ("vectors", "<f4", "(10, 16)", values),
            ("labels", "<i8", "(10,)", numbers),
        ],
    );
    let names = ["--embedding-column", "vectors", "--id-column", "labels"];
    assert_eq!(place.answers("d.npz", &names)[4], (104.into(), 5));
    let said = failure(&place.ask("d.npz", &[]));
    assert!(
        said.contains("no array `embeddings`, but `vectors`, `labels`"),
        "{said}"
    );
    let names = ["--embedding-column", "vectors", "--class-column", "labels"];
    place.import("bws.2", "d.npz", &names);
}

#[cfg(feature = "parquet")]
#[test]
fn tables_are_probes_with_names_of_their_own() {
    let place = Place::new();
    let data = place.at("data");
    let table = place.at("people.parquet");
    let export = [
        "gallery",
        "export",
        "--data-dir",
        text(&data),
        "--partition",
        "bws.1",
    ];
    success(&vultus(
        &[&export[..], &["--output", text(&table)]].concat(),
    ));
    // What they are called is their class, where nothing else is.
    for (id, class) in place.answers("people.parquet", &[]) {
        assert_eq!(id, class);
    }
    let said = failure(&place.ask("people.parquet", &["--id-column", "name"]));
    assert!(
        said.contains("no column `name`, but `class`, `embedding`"),
        "{said}"
    );
}

/// What is asked for by its name is not taken from somewhere else.
#[test]
fn a_name_of_ids_that_nothing_has_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let data = text(&at("data")).to_owned();
    let rows = random_rows(3, 24, 7);
    embeddings(&at("rows.npy"), &rows);
    let gallery = ["--data-dir", &data, "--partition", "bws.1"];
    let import = [
        "gallery",
        "import",
        "--encoder",
        "test",
        text(&at("rows.npy")),
    ]
    .map(str::to_owned);
    let import: Vec<&str> = import.iter().map(String::as_str).collect();
    success(&vultus(&[&import[..], &gallery].concat()));
    // Single lines may be without one.
    let mut formats = Vec::new();
    if cfg!(feature = "npz") {
        formats.push("npz");
    }
    if cfg!(feature = "parquet") {
        formats.push("parquet");
    }
    for format in formats {
        let probes = at(&format!("probes.{format}"));
        let export = ["gallery", "export", "--output", text(&probes)].map(str::to_owned);
        let export: Vec<&str> = export.iter().map(String::as_str).collect();
        success(&vultus(&[&export[..], &gallery].concat()));
        let of = ["identify", "--embeddings", text(&probes), "--json"].map(str::to_owned);
        let of: Vec<&str> = of.iter().map(String::as_str).collect();
        let named = vultus(&[&of[..], &gallery, &["--id-column", "nope"]].concat());
        let refused = failure(&named);
        assert!(refused.contains("`nope`"), "{format}: {refused}");
        success(&vultus(&[&of[..], &gallery].concat()));
    }
}
