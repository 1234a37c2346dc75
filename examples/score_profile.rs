//! Measures an embedder: the similarities of pictures of the same and of different people.
//!
//! ```text
//! cargo run --release --example score_profile -- FOLDER [NETWORK.onnx PROFILE.toml]
//! ```
//!
//! FOLDER holds a folder for each person, and that the person's pictures. Printed are the
//! similarities at which one in a hundred, a thousand and ten thousand pairs of different people
//! are taken for one person (false matches), and how many pairs of one person are missed there
//! (false non-matches). The midpoint of a profile's `[score]` is the second of them; its steepness
//! is ln(99) over the distance from there to the median pair of one person, which gives such a pair
//! a score of 0.99.
//!
//! The two tables below are for the thresholds of a profile. *Class*: the mean of some samples
//! against the best of some templates, as in a verification. *Photo*: the mean of two pictures
//! against a third, as with an identity photo. Of every person the pictures are taken in turns.
//!
//! Every file in a person's folder must show that person. The ORL folder in the package that
//! `scripts/golden.sh` fetches has a stray `s10/target.jpg` of someone else; the script leaves it
//! out.

use std::error::Error;
use std::path::{Path, PathBuf};

use vultus::face::{EmbedderSource, FacePipeline, PipelineOptions};
use vultus::types::Embedding;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (folder, embedder) = match arguments.as_slice() {
        [folder] => (folder, None),
        [folder, onnx, profile] => (
            folder,
            Some(EmbedderSource {
                onnx: onnx.clone(),
                profile: profile.clone(),
            }),
        ),
        _ => return Err("expected FOLDER [NETWORK.onnx PROFILE.toml]".into()),
    };
    let pipeline = FacePipeline::new(&PipelineOptions {
        embedder,
        ..PipelineOptions::default()
    })?;

    let mut people: Vec<Vec<Embedding>> = Vec::new();
    let (mut refused, mut warned) = (0, 0);
    for person in entries(folder)?.iter().filter(|path| path.is_dir()) {
        let mut embeddings = Vec::new();
        for path in entries(person)? {
            match pipeline.only_face(&std::fs::read(&path)?) {
                Ok(face) => {
                    if !face.warnings.is_empty() {
                        warned += 1;
                        eprintln!("{}: {:?}", path.display(), face.warnings);
                    }
                    embeddings.push(face.embedding);
                }
                Err(error) => {
                    refused += 1;
                    eprintln!("{}: {error}", path.display());
                }
            }
        }
        people.push(embeddings);
    }

    let (mut same, mut different) = (Vec::new(), Vec::new());
    for (p, person) in people.iter().enumerate() {
        for (i, a) in person.iter().enumerate() {
            same.extend(person[i + 1..].iter().map(|b| cosine(a, b)));
            different.extend(people[p + 1..].iter().flatten().map(|b| cosine(a, b)));
        }
    }
    if same.is_empty() || different.is_empty() {
        return Err("there are not two people with two pictures each".into());
    }
    same.sort_by(f64::total_cmp);
    different.sort_by(f64::total_cmp);

    println!("encoder    {}", pipeline.profile().encoder());
    println!("people     {}", people.len());
    println!(
        "pictures   {} used, {warned} of them with warnings, {refused} refused",
        { people.iter().map(Vec::len).sum::<usize>() }
    );
    for (name, pairs) in [("same", &same), ("different", &different)] {
        let mean = pairs.iter().sum::<f64>() / pairs.len() as f64;
        println!(
            "{name:<10} {} pairs, mean {mean:.4}, lowest {:.4}, median {:.4}, highest {:.4}",
            pairs.len(),
            pairs[0],
            pairs[pairs.len() / 2],
            pairs[pairs.len() - 1],
        );
    }
    print_rates("pairs", &[1e-2, 1e-3, 1e-4], &same, &different);
    for (templates, samples) in [(1, 1), (3, 1), (5, 1), (3, 2), (5, 2), (5, 3)] {
        let (own, others) = classes(&people, templates, samples);
        let name = format!("class: {samples} of {templates}");
        print_rates(&name, &[1e-2, 1e-3, 1e-4], &own, &others);
    }
    let (own, others) = photos(&people);
    print_rates("photo", &[0.1, 0.05, 0.025, 0.01, 0.001], &own, &others);
    Ok(())
}

/// The thresholds for some false match rates, and what is missed there. Both lists rise.
fn print_rates(name: &str, rates: &[f64], same: &[f64], different: &[f64]) {
    if same.is_empty() || different.is_empty() {
        return;
    }
    println!(
        "\n{name}: {} right, {} wrong\n{:<10} {:>10} {:>10} {:>10}",
        same.len(),
        different.len(),
        "FMR",
        "similarity",
        "matches",
        "FNMR"
    );
    for rate in rates {
        let allowed = (rate * different.len() as f64).floor() as usize;
        // The lowest threshold that no more than `allowed` pairs of different people exceed.
        let threshold = different[different.len() - 1 - allowed];
        let missed = same.partition_point(|&similarity| similarity <= threshold);
        println!(
            "{rate:<10} {threshold:>10.4} {allowed:>10} {:>9.3}%",
            100.0 * missed as f64 / same.len() as f64
        );
    }
}

/// The similarities of the mean of `samples` pictures to the best of `templates` others, of the
/// same and of different people.
fn classes(people: &[Vec<Embedding>], templates: usize, samples: usize) -> (Vec<f64>, Vec<f64>) {
    compared(people, |probed, class, turn| {
        let count = probed.len().min(class.len());
        let picture = |person: &[Embedding], number: usize| person[(turn + number) % count].clone();
        let probe: Vec<Embedding> = (templates..templates + samples)
            .map(|number| picture(probed, number))
            .collect();
        let probe = mean(&probe);
        (count >= templates + samples).then(|| {
            let template = (0..templates).map(|number| cosine(&probe, &picture(class, number)));
            template.fold(f64::NEG_INFINITY, f64::max)
        })
    })
}

/// The similarities of the mean of two pictures to a third.
fn photos(people: &[Vec<Embedding>]) -> (Vec<f64>, Vec<f64>) {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for gap in 1..5 {
        let (some, more) = compared(people, |probed, photographed, turn| {
            let count = probed.len().min(photographed.len());
            (count > 2 * gap).then(|| {
                let picture = |number: usize| probed[(turn + number) % count].clone();
                let live = mean(&[picture(0), picture(gap)]);
                cosine(&live, &photographed[(turn + 2 * gap) % count])
            })
        });
        own.extend(some);
        others.extend(more);
    }
    own.sort_by(f64::total_cmp);
    others.sort_by(f64::total_cmp);
    (own, others)
}

/// What `compare` says of every person and every other in every turn, rising.
fn compared(
    people: &[Vec<Embedding>],
    compare: impl Fn(&[Embedding], &[Embedding], usize) -> Option<f64>,
) -> (Vec<f64>, Vec<f64>) {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for (p, probed) in people.iter().enumerate() {
        for (c, class) in people.iter().enumerate() {
            let found = (0..probed.len()).filter_map(|turn| compare(probed, class, turn));
            if p == c {
                own.extend(found);
            } else {
                others.extend(found);
            }
        }
    }
    own.sort_by(f64::total_cmp);
    others.sort_by(f64::total_cmp);
    (own, others)
}

fn mean(embeddings: &[Embedding]) -> Embedding {
    let dimension = embeddings[0].dimension();
    let values: Vec<f32> = (0..dimension)
        .map(|at| {
            embeddings
                .iter()
                .map(|embedding| embedding.values()[at])
                .sum()
        })
        .collect();
    let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    let unit: Vec<f32> = values.iter().map(|value| value / length).collect();
    Embedding::new(unit).expect("pictures of one person do not cancel each other out")
}

fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn cosine(a: &Embedding, b: &Embedding) -> f64 {
    a.values()
        .iter()
        .zip(b.values())
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum()
}
