//! Packs the networks for the feature `packed-networks`. Without it there is nothing to do.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "packed-networks")]
    pack();
}

/// Writes each network in `data/models` into the folder of the build as one frame of zstd. The lowest level:
/// weights have little that repeats, and higher ones spare no more.
#[cfg(feature = "packed-networks")]
fn pack() {
    use std::{env, fs, path::Path};

    let to = env::var_os("OUT_DIR").expect("cargo names the folder of the build");
    println!("cargo::rerun-if-changed=data/models");
    for entry in fs::read_dir("data/models").expect("the networks are in data/models") {
        let path = entry.expect("the folder of networks can be read").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "onnx")
        {
            let network = fs::read(&path).expect("a network can be read");
            let packed = zstd::encode_all(&network[..], 1).expect("memory takes everything");
            let mut name = path.file_name().expect("a file has a name").to_owned();
            name.push(".zst");
            fs::write(Path::new(&to).join(name), packed)
                .expect("the folder of the build takes files");
        }
    }
}
