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
    println!(
        "{:<10} {:>10} {:>10} {:>10}",
        "FMR", "similarity", "matches", "FNMR"
    );
    for rate in [1e-2, 1e-3, 1e-4] {
        let allowed = (rate * different.len() as f64).floor() as usize;
        // The lowest threshold that no more than `allowed` pairs of different people exceed.
        let threshold = different[different.len() - 1 - allowed];
        let missed = same.partition_point(|&similarity| similarity <= threshold);
        println!(
            "{rate:<10} {threshold:>10.4} {allowed:>10} {:>9.3}%",
            100.0 * missed as f64 / same.len() as f64
        );
    }
    Ok(())
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
