//! The `vultus` program: parse, run, exit code.

fn main() -> std::process::ExitCode {
    vultus::cli::main()
}
