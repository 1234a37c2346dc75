//! `vultus gallery import` and `export`: reports, dry runs, killed processes, manifests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::cli::{embeddings, failure, json_lines, npy, random_rows, success, text, vultus};

/// A directory for files, with a data directory that does not exist yet.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        Place { directory }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn import(&self, partition: &str, more: &[&str]) -> Output {
        let data = self.at("data");
        let common = ["gallery", "import", "--data-dir", text(&data), "--json"];
        vultus(&[&common[..], &["--partition", partition], more].concat())
    }

    fn embeddings(&self, partition: &str, file: &str, more: &[&str]) -> Output {
        let file = self.at(file);
        let these = [text(&file), "--encoder", "test"];
        self.import(partition, &[&these[..], more].concat())
    }

    fn info(&self, partition: &str) -> serde_json::Value {
        let data = self.at("data");
        let info = ["gallery", "info", "--data-dir", text(&data), "--json"];
        json_lines(&success(&vultus(
            &[&info[..], &["--partition", partition]].concat(),
        )))
        .remove(0)
    }
}

/// Asserts that some was refused and the rest done, and returns what was said on stdout.
fn partly(output: &Output) -> serde_json::Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    json_lines(&String::from_utf8(output.stdout.clone()).unwrap()).remove(0)
}

#[test]
fn bad_rows_are_reported_and_the_others_come_in() {
    let place = Place::new();
    let mut rows = random_rows(50, 16, 1);
    rows[7][3] = f32::NAN;
    rows[20].fill(0.0);
    embeddings(&place.at("rows.npy"), &rows);
    let report = place.at("rows.npy.refused.jsonl");

    let dry = partly(&place.embeddings("bws.1", "rows.npy", &["--dry-run"]));
    assert_eq!((&dry["imported"], &dry["refused"]), (&48.into(), &2.into()));
    assert!(!place.at("data").exists() && !report.exists(), "it was dry");

    let done = partly(&place.embeddings("bws.1", "rows.npy", &[]));
    assert_eq!(
        (&done["imported"], &done["refused"]),
        (&48.into(), &2.into())
    );
    assert_eq!(
        fs::read_to_string(&report).unwrap(),
        "{\"item\":7,\"reason\":\"value 3 is not a finite number\"}\n\
         {\"item\":20,\"reason\":\"all values are zero\"}\n"
    );
    assert_eq!(place.info("bws.1")["templates"], 48);

    let again = failure(&place.embeddings("bws.1", "rows.npy", &[]));
    assert!(again.contains("refused.jsonl` exists"), "{again}");
    let resumed = partly(&place.embeddings("bws.1", "rows.npy", &["--resume"]));
    assert_eq!(resumed["earlier"], 50);
    assert_eq!(place.info("bws.1")["templates"], 48);
    let all = failure(&place.embeddings("bws.1", "rows.npy", &["--all-or-nothing"]));
    assert!(all.contains("row 7 of"), "{all}");
    let elsewhere = place.at("elsewhere.jsonl");
    partly(&place.embeddings("bws.2", "rows.npy", &["--refused", text(&elsewhere)]));
    assert_eq!(fs::read(&elsewhere).unwrap(), fs::read(&report).unwrap());
    let rows = place.at("rows.npy");
    let onto = ["--refused", text(&rows), "--overwrite"];
    let said = failure(&place.embeddings("bws.3", "rows.npy", &onto));
    assert!(said.contains("is what is read: write to another"), "{said}");
    assert!(rows.exists());
    // A dry run knows whose embeddings the gallery holds.
    embeddings(&place.at("wide.npy"), &random_rows(5, 24, 1));
    let other = failure(&place.embeddings("bws.1", "wide.npy", &["--dry-run"]));
    assert!(other.contains("test@1/24"), "{other}");
}

#[test]
fn all_refused_is_no_success_and_every_line_has_its_reason() {
    let place = Place::new();
    let path = place.at("a.jsonl");
    let values = ["0.5"; 16].join(",");
    for (name, lines) in [
        (
            "bws.1",
            format!("{{\"class\":\"anna\",\"embedding\":[{values}]}}\n\n"),
        ),
        ("bws.2", "{}\n{\"class\":1}\n".to_owned()),
    ] {
        fs::write(&path, lines).unwrap();
        let report = place.at(&format!("{name}.refused"));
        let refused = ["--refused", text(&report)];
        let dry = partly(&place.embeddings(name, "a.jsonl", &["--dry-run"]));
        assert_eq!((&dry["imported"], &dry["refused"]), (&0.into(), &2.into()));
        let done = partly(&place.embeddings(name, "a.jsonl", &refused));
        assert_eq!(
            (&done["imported"], &done["refused"]),
            (&0.into(), &2.into())
        );
        let lines = json_lines(&fs::read_to_string(&report).unwrap());
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line["reason"].is_string()));
        let all = failure(&place.embeddings(name, "a.jsonl", &["--all-or-nothing"]));
        assert!(all.contains("row 0 of"), "{all}");
    }
}

#[test]
fn classes_and_times_beside_a_matrix_go_out_in_every_format() {
    let place = Place::new();
    embeddings(&place.at("rows.npy"), &random_rows(3, 16, 1));
    let numbers: [i64; 3] = [5, -1, i64::MAX];
    npy(
        &place.at("n.npy"),
        "<i8",
        "(3,)",
        bytemuck::cast_slice(&numbers),
    );
    npy(
        &place.at("short.npy"),
        "<i8",
        "(2,)",
        bytemuck::cast_slice(&numbers[..2]),
    );
    let (numbers_path, short) = (place.at("n.npy"), place.at("short.npy"));
    let said = failure(&place.embeddings("bws.1", "rows.npy", &["--times", text(&short)]));
    assert!(said.contains("one time for each of 3 rows"), "{said}");
    let lists = [
        "--classes",
        text(&numbers_path),
        "--times",
        text(&numbers_path),
    ];
    success(&place.embeddings("bws.1", "rows.npy", &lists));
    let (data, output) = (place.at("data"), place.at("out.jsonl"));
    let export = |output: &Path, more: &[&str]| {
        let common = ["gallery", "export", "--data-dir", text(&data)];
        let these = ["--partition", "bws.1", "--output", text(output)];
        vultus(&[&common[..], &these, more].concat())
    };
    success(&export(&output, &[]));
    let lines = json_lines(&fs::read_to_string(&output).unwrap());
    let number = |line: &serde_json::Value, name: &str| line[name].as_i64().unwrap();
    let found: Vec<_> = lines
        .iter()
        .map(|line| (number(line, "class"), number(line, "time")))
        .collect();
    assert_eq!(found, numbers.map(|number| (number, number)));
    assert!(lines.iter().all(|line| line.get("quality").is_none()));
    assert!(failure(&export(&output, &[])).contains("exists"));
    success(&export(&output, &["--overwrite"]));
    let said = failure(&export(&place.at("out.csv"), &[]));
    assert!(said.contains("`.npz`, `.parquet` or `.jsonl`"), "{said}");
}

#[test]
fn a_killed_import_goes_on() {
    const ROWS: usize = 400_000;
    let place = Place::new();
    let path = place.at("rows.npy");
    let values: Vec<f32> = (0..ROWS * 16).map(|at| (at % 977) as f32 - 400.5).collect();
    npy(
        &path,
        "<f4",
        &format!("({ROWS}, 16)"),
        bytemuck::cast_slice(&values),
    );
    let data = place.at("data");
    let mut child = Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args([
            "gallery",
            "import",
            "--data-dir",
            text(&data),
            "--partition",
            "bws.1",
        ])
        .args(["--encoder", "test", text(&path)])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Two segments: the transaction that names the first is done, or the process is in it.
    let segments = || -> usize {
        let Ok(partitions) = fs::read_dir(data.join("segments")) else {
            return 0;
        };
        let files = |partition: std::io::Result<fs::DirEntry>| {
            fs::read_dir(partition.unwrap().path()).map_or(0, Iterator::count)
        };
        partitions.map(files).sum()
    };
    while segments() < 2 && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let again = place.embeddings("bws.1", "rows.npy", &["--resume"]);
    let done = &json_lines(&success(&again))[0];
    assert_eq!(
        (&done["items"], &done["imported"]),
        (&ROWS.into(), &ROWS.into())
    );
    let info = place.info("bws.1");
    assert_eq!(
        (&info["templates"], &info["classes"]),
        (&ROWS.into(), &ROWS.into())
    );
    assert!(!place.at("rows.npy.refused.jsonl").exists());
}

#[test]
fn pictures_come_from_folders_and_manifests() {
    let place = Place::new();
    let faces = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/faces");
    fs::create_dir_all(place.at("people/s7")).unwrap();
    for name in ["obama-portrait.jpg", "obama-speech.jpg"] {
        fs::copy(faces.join(name), place.at("people/s7").join(name)).unwrap();
    }
    fs::write(place.at("people/s7/broken.png"), b"no picture").unwrap();
    let people = place.at("people");
    let done = partly(&place.import("bws.1", &["--pictures", text(&people)]));
    assert_eq!(
        (&done["imported"], &done["refused"]),
        (&2.into(), &1.into())
    );
    let report = json_lines(&fs::read_to_string(place.at("people.refused.jsonl")).unwrap());
    assert_eq!((report.len(), &report[0]["item"]), (1, &0.into()));
    assert!(
        report[0]["picture"]
            .as_str()
            .unwrap()
            .ends_with("broken.png")
    );

    let manifest = place.at("list.csv");
    fs::write(
        &manifest,
        "class,picture\r\"3.0\",people/s7/obama-portrait.jpg\r",
    )
    .unwrap();
    success(&place.import("bws.3", &["--manifest", text(&manifest)]));
    fs::write(
        &manifest,
        "\u{feff}class,picture,time\r\n\
         3,\"people/s7/obama-portrait.jpg\",1234\r\n\
         x,people/s7/obama-portrait.jpg,\n\
         4\n\
         5,people/s7/missing.jpg,\n\
         6,people/s7/obama-speech.jpg,later\n",
    )
    .unwrap();
    let done = partly(&place.import("bws.2", &["--manifest", text(&manifest)]));
    assert_eq!(
        (&done["imported"], &done["refused"]),
        (&1.into(), &4.into())
    );
    let report = json_lines(&fs::read_to_string(place.at("list.csv.refused.jsonl")).unwrap());
    let lines: Vec<_> = report
        .iter()
        .map(|line| line["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [3, 4, 5, 6]);
    let (data, output) = (place.at("data"), place.at("out.jsonl"));
    success(&vultus(&[
        "gallery",
        "export",
        "--data-dir",
        text(&data),
        "--partition",
        "bws.2",
        "--output",
        text(&output),
    ]));
    let line = &json_lines(&fs::read_to_string(&output).unwrap())[0];
    assert_eq!((&line["class"], &line["time"]), (&3.into(), &1234.into()));
    assert!(line["quality"].as_f64().unwrap() > 0.0);

    fs::write(&manifest, "file,person\n").unwrap();
    let said = failure(&place.import("bws.2", &["--manifest", text(&manifest)]));
    assert!(said.contains("picture,class"), "{said}");
}

#[test]
fn what_is_imported_is_named_once() {
    let place = Place::new();
    embeddings(&place.at("rows.npy"), &random_rows(3, 16, 1));
    let file = place.at("rows.npy");
    for arguments in [
        &["--encoder", "test"][..],
        &[text(&file)],
        &[text(&file), "--encoder", "test", "--manifest", "a.csv"],
        &[text(&file), "--encoder", "test", "--embeddings", "b.npy"],
        &["--manifest", "a.csv", "--encoder", "test"],
        &["--pictures", "a", "--classes", "c.npy"],
        &[text(&file), "--encoder", "test", "--resume", "--overwrite"],
    ] {
        assert_eq!(
            place.import("bws.1", arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    assert!(!place.at("data").exists());
}

/// A manifest of these lines with the portraits of two people beside it, in a folder of its own.
fn manifest(place: &Place, name: &str, bytes: &[u8]) -> PathBuf {
    let faces = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/faces");
    for (from, to) in [
        ("obama-portrait.jpg", "obama.jpg"),
        ("obama-white-house.jpg", "again.jpg"),
        ("obama-speech.jpg", "speech.jpg"),
        ("biden-portrait.jpg", "biden.jpg"),
    ] {
        fs::copy(faces.join(from), place.at(to)).unwrap();
    }
    let path = place.at(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn utf16(text: &str, is_big_endian: bool) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    let bytes = units.flat_map(|unit| match is_big_endian {
        true => unit.swap_bytes().to_le_bytes(),
        false => unit.to_le_bytes(),
    });
    bytes.collect()
}

#[test]
fn manifests_of_other_programs_are_read() {
    let place = Place::new();
    for (at, bytes) in [
        b"picture;class\r\nobama.jpg;3\r\n".to_vec(),
        b"class\tnote\tpicture\n3\ta, b; c\tobama.jpg\n".to_vec(),
        "\u{feff}\"class\";\"picture\";\"time\"\n\"3.0\";\"obama.jpg\";1234\n".into(),
        utf16("picture\tclass\r\nobama.jpg\t3\r\n", false),
        utf16("class;picture\n3;obama.jpg", true),
    ]
    .into_iter()
    .enumerate()
    {
        let path = manifest(&place, &format!("{at}.csv"), &bytes);
        let done = success(&place.import(&format!("bws.{at}"), &["--manifest", text(&path)]));
        let done = json_lines(&done).remove(0);
        assert_eq!(done["imported"], 1, "{at}: {done}");
    }
    let path = manifest(&place, "other.csv", b"picture|class\nobama.jpg|3\n");
    let said = failure(&place.import("bws.9", &["--manifest", text(&path)]));
    assert!(said.contains("commas, semicolons or tabs"), "{said}");
}

#[test]
fn somebody_else_among_the_pictures_of_a_class_is_refused_by_an_import() {
    let place = Place::new();
    // The lines of a class need not follow each other.
    let path = manifest(
        &place,
        "list.csv",
        b"picture,class\nobama.jpg,17\nbiden.jpg,18\nbiden.jpg,17\nnone.jpg,17\nagain.jpg,17\nagain.jpg,18\n",
    );
    for more in [&["--dry-run"][..], &[]] {
        let import = [&["--manifest", text(&path)], more].concat();
        let done = partly(&place.import("bws.1", &import));
        assert_eq!(
            (&done["imported"], &done["refused"]),
            (&2.into(), &4.into()),
            "{done}"
        );
    }
    let report = json_lines(&fs::read_to_string(place.at("list.csv.refused.jsonl")).unwrap());
    let refused: Vec<(u64, bool)> = report
        .iter()
        .map(|line| {
            let reason = line["reason"].as_str().unwrap();
            let of_another = reason.contains("does not look like the person");
            (line["line"].as_u64().unwrap(), of_another)
        })
        .collect();
    // Of two pictures of class 18 nobody knows who is whom.
    let expected = [(4, true), (5, false), (3, true), (7, true)];
    assert_eq!(refused, expected, "{report:?}");
    assert_eq!(place.info("bws.1")["templates"], 2);

    let folders = place.at("people");
    for (from, to) in [
        ("obama.jpg", "17/a.jpg"),
        ("biden.jpg", "17/b.jpg"),
        ("again.jpg", "17/2024/c.jpg"),
        ("biden.jpg", "18/a.jpg"),
    ] {
        let to = folders.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(place.at(from), to).unwrap();
    }
    let done = partly(&place.import("bws.2", &["--pictures", text(&folders)]));
    assert_eq!(
        (&done["imported"], &done["refused"]),
        (&3.into(), &1.into())
    );
    let report = fs::read_to_string(place.at("people.refused.jsonl")).unwrap();
    assert!(
        report.contains("17/b.jpg") && report.contains("class 17"),
        "{report}"
    );
}

#[test]
fn lines_in_utf_16_are_read() {
    let place = Place::new();
    let row = vec!["0.5"; 16].join(",");
    let lines = format!(
        "{{\"class\":7,\"embedding\":[{row}]}}\r\n\r\n{{\"class\":\"8\",\"embedding\":[{row}]}}"
    );
    for (at, is_big_endian) in [false, true].into_iter().enumerate() {
        let name = format!("{at}.jsonl");
        fs::write(place.at(&name), utf16(&lines, is_big_endian)).unwrap();
        let done = partly(&place.embeddings(&format!("bws.{at}"), &name, &[]));
        assert_eq!(
            (&done["imported"], &done["refused"]),
            (&2.into(), &1.into())
        );
        let probes = vultus(&[
            "identify",
            "--embeddings",
            text(&place.at(&name)),
            "--partition",
            "bws.0",
            "--data-dir",
            text(&place.at("data")),
        ]);
        let said = failure(&probes);
        assert!(said.contains("the line is empty"), "{said}");
    }
    // Half a letter at the end is no reason to lose the line before it.
    let mut cut = utf16(&format!("{{\"class\":7,\"embedding\":[{row}]}}\n"), false);
    cut.push(b'x');
    fs::write(place.at("cut.jsonl"), cut).unwrap();
    let done = partly(&place.embeddings("bws.5", "cut.jsonl", &[]));
    assert_eq!(
        (&done["imported"], &done["refused"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn dates_are_no_classes_and_are_refused_as_dates() {
    let place = Place::new();
    embeddings(&place.at("rows.npy"), &random_rows(2, 16, 1));
    for descr in ["<M8[ns]", "<M8[D]", ">M8[s]", "<m8[ms]"] {
        npy(&place.at("classes.npy"), descr, "(2,)", &[1; 16]);
        let classes = place.at("classes.npy");
        let said = failure(&place.embeddings("bws.1", "rows.npy", &["--classes", text(&classes)]));
        let what = if descr.contains('m') {
            "spans of time"
        } else {
            "dates"
        };
        assert!(
            said.contains(&format!("{what} (`{descr}`)")) && said.contains("classes.npy"),
            "{said}"
        );
    }
}

/// Files whose names are no text, through every verb that tells them in JSON.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_told_with_their_bytes_by_every_verb() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let place = Place::new();
    let odd = |name: &[u8]| place.at("data").with_file_name(OsStr::from_bytes(name));
    let run = |arguments: &[&OsStr]| {
        let output = Command::new(env!("CARGO_BIN_EXE_vultus"))
            .args(arguments)
            .args([
                "--json".as_ref(),
                "--data-dir".as_ref(),
                place.at("data").as_os_str(),
            ])
            .output();
        output.unwrap()
    };
    let told = |output: &Output, member: &str, name: &str, bytes: &str| {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = String::from_utf8(output.stdout.clone()).unwrap();
        let line = json_lines(&line).pop().unwrap_or_else(|| panic!("{said}"));
        assert!(line[member].as_str().unwrap().ends_with(name), "{line}");
        let digits = line[format!("{member}_bytes")].as_str().unwrap();
        assert!(digits.ends_with(bytes), "{line}");
    };
    let mut rows = random_rows(20, 16, 1);
    rows.push(vec![0.0; 16]);
    embeddings(&odd(b"in\xff.npy"), &rows);
    let import = [
        "gallery",
        "import",
        "--partition",
        "bws.1",
        "--encoder",
        "test",
    ];
    let import: Vec<&OsStr> = import.iter().map(OsStr::new).collect();
    let imported = run(&[&import[..], &[odd(b"in\xff.npy").as_os_str()]].concat());
    assert_eq!(imported.status.code(), Some(1));
    told(
        &imported,
        "report",
        "in\u{fffd}.npy.refused.jsonl",
        "696eff2e6e70792e726566757365642e6a736f6e6c",
    );
    for name in [&b"out\xff.npz"[..], b"out\xfe.jsonl", b"out\xfd.parquet"] {
        let to = odd(name);
        let export = ["gallery", "export", "--partition", "bws.1", "--output"];
        let export: Vec<&OsStr> = export.iter().map(OsStr::new).collect();
        let exported = run(&[&export[..], &[to.as_os_str()]].concat());
        let digits: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        told(&exported, "file", &String::from_utf8_lossy(name), &digits);
        assert!(to.exists());
    }
    let snapshot = odd(b"s\xff.tar.zst");
    let copied = run(&[
        "gallery".as_ref(),
        "snapshot".as_ref(),
        "--to".as_ref(),
        snapshot.as_os_str(),
    ]);
    told(&copied, "file", "s\u{fffd}.tar.zst", "73ff2e7461722e7a7374");
    let inspected = Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(["inspect".as_ref(), "--json".as_ref(), snapshot.as_os_str()])
        .output();
    told(
        &inspected.unwrap(),
        "file",
        "s\u{fffd}.tar.zst",
        "73ff2e7461722e7a7374",
    );
}

/// What is read of a file hangs on the names of its columns, too.
#[test]
fn an_import_is_not_gone_on_with_from_another_column() {
    let place = Place::new();
    let row: Vec<f32> = random_rows(1, 24, 7).remove(0);
    let line = format!("{{\"class\":1,\"other\":2,\"embedding\":{row:?},\"second\":{row:?}}}\n");
    fs::write(place.at("rows.jsonl"), line).unwrap();
    success(&place.embeddings("bws.1", "rows.jsonl", &[]));
    for (more, named) in [
        (&["--class-column", "other"][..], "classes in `other`"),
        (&["--embedding-column", "second"], "embeddings in `second`"),
        (&["--templates-only"], "templates only"),
    ] {
        let again = place.embeddings("bws.1", "rows.jsonl", &[more, &["--resume"]].concat());
        let refused = failure(&again);
        assert!(refused.contains("another `file`"), "{refused}");
        assert!(refused.contains(named), "{refused}");
    }
    success(&place.embeddings("bws.1", "rows.jsonl", &["--resume"]));
}

/// Each of its lines would be refused by itself.
#[test]
fn a_file_of_another_format_is_refused_as_a_whole() {
    let place = Place::new();
    for (begins, what) in [
        (&b"\x1f\x8b\x08\x00 packed\n more\n"[..], "gzip"),
        (b"\x28\xb5\x2f\xfd\n\n", "zstd"),
        (b"PK\x03\x04\n\n", "zip"),
        (b"PAR1\n\n", "Parquet"),
    ] {
        fs::write(place.at("rows.jsonl"), begins).unwrap();
        let refused = failure(&place.embeddings("bws.1", "rows.jsonl", &[]));
        assert!(
            refused.contains("rows.jsonl") && refused.contains(what),
            "{refused}"
        );
        assert!(refused.contains("expected lines of JSON"), "{refused}");
        assert!(!place.at("rows.jsonl.refused.jsonl").exists());
    }
}

#[test]
fn a_report_does_not_take_the_place_of_what_is_read() {
    let place = Place::new();
    npy(&place.at("zeros.npy"), "<f4", "(2, 24)", &[0; 192]);
    let labels = place.at("labels.npy");
    npy(&labels, "<i8", "(2,)", &[0; 16]);
    let before = fs::read(&labels).unwrap();
    let beside = [
        "--classes",
        text(&labels),
        "--refused",
        text(&labels),
        "--overwrite",
    ];
    let refused = failure(&place.embeddings("bws.1", "zeros.npy", &beside));
    assert!(refused.contains("is what is read"), "{refused}");
    assert_eq!(fs::read(&labels).unwrap(), before);
}
