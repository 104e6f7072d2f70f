//! Arguments in, exit code out.

fn main() -> std::process::ExitCode {
    karamail::cli::main(std::env::args_os())
}
