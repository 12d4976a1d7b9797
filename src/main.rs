//! Command line, runtime, exit code. Not here: decisions.

use std::{
    ffi::OsString,
    io::{IsTerminal, stderr},
    process::ExitCode,
};

use cla_socketserver::{
    app::App,
    check::{self, Report},
    cli::{CheckArgs, Cli, Command},
    config::{Config, Flags, Source},
    lifecycle::{Died, ReloadError, Signals, ask_for_reload},
    logging::{self, Logging},
    net::{Listeners, Passed, raise_file_limit},
};
use clap::Parser;

/// The allocator of the package. It gives memory back after an attack, which the allocator of the system hardly does.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The variable by which systemd names the stream that the journal reads.
const JOURNAL_STREAM: &str = "JOURNAL_STREAM";

/// Exit codes, as in `sysexits.h`.
const FAILURE: u8 = 1;
const USAGE: u8 = 64;
const SOFTWARE: u8 = 70;
const CONFIG: u8 = 78;

fn main() -> ExitCode {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let env = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let source = Source {
        env: env.collect(),
        ..Source::default()
    };
    match Cli::try_parse() {
        Ok(cli) => run(cli, source),
        Err(error) if error.use_stderr() => {
            // clap prints in colour on a terminal.
            if stderr().is_terminal() {
                let _ = error.print();
            } else {
                complain(&error.render().to_string(), &source);
            }
            USAGE.into()
        }
        Err(help) => match help.print() {
            // An error means that the reader has gone.
            Ok(()) | Err(_) => ExitCode::SUCCESS,
        },
    }
}

fn run(cli: Cli, mut source: Source) -> ExitCode {
    source.flags = Flags {
        config: cli.config,
        public_listen: cli.public_listen,
        admin_listen: cli.admin_listen,
    };
    match cli.command {
        Some(Command::Check(args)) => return check(source, report(&args)),
        Some(Command::Reload) => return reload(source),
        None => {}
    }
    let passed = match Passed::take() {
        Ok(passed) => passed,
        Err(error) => return refuse(error, &source),
    };
    source.sockets = passed.sockets();
    match source.load() {
        Ok(loaded) => serve(loaded.config, source, passed, cli.demo),
        Err(errors) => refuse(errors, &source),
    }
}

fn report(args: &CheckArgs) -> Report {
    match args {
        CheckArgs { quiet: true, .. } => Report::Mistakes,
        CheckArgs { all: true, .. } => Report::Everything,
        CheckArgs { .. } => Report::Notable,
    }
}

fn check(mut source: Source, report: Report) -> ExitCode {
    match check::as_service(&source.flags, &source.env, report) {
        Some(0) => return ExitCode::SUCCESS,
        Some(code) if code == i32::from(CONFIG) => return CONFIG.into(),
        Some(_) => return refuse(check::NotRun, &source),
        None => {}
    }
    source.sockets = check::sockets(&source.env, report);
    match source.load() {
        Ok(loaded) => match check::show(&loaded, &source.env, report) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(errors) => refuse(errors, &source),
    }
}

/// Asks the daemon of the unit to reload its configuration.
fn reload(mut source: Source) -> ExitCode {
    source.sockets = check::sockets(&source.env, Report::Mistakes);
    if let Err(errors) = source.load() {
        return refuse(errors, &source);
    }
    match ask_for_reload(source.variable("MAINPID"), source.runtime_directory()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ ReloadError::Refused(_)) => refuse(error, &source),
        Err(error) => {
            complain(&format!("{:#}", anyhow::Error::from(error)), &source);
            FAILURE.into()
        }
    }
}

/// Reports what must be changed before the daemon can start.
fn refuse(error: impl Into<anyhow::Error>, source: &Source) -> ExitCode {
    complain(&format!("{:#}", error.into()), source);
    CONFIG.into()
}

/// Reports a failure before the log has started.
fn complain(reason: &str, source: &Source) {
    logging::complain(reason, source.variable(JOURNAL_STREAM));
}

fn serve(config: Config, source: Source, passed: Passed, demo: bool) -> ExitCode {
    let started = Logging::start(&config.log, source.variable(JOURNAL_STREAM));
    // `_flush` is dropped last, also by a panic.
    let (logging, _flush) = match started {
        Ok(logging) => logging,
        Err(error) => {
            complain(&format!("start the log: {error}"), &source);
            return FAILURE.into();
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            logging.fatal(&format!("cannot start the runtime: {error}"));
            return FAILURE.into();
        }
    };
    let ended = runtime.block_on(async {
        let signals = Signals::listen()?;
        let listeners = Listeners::open(&config, passed)?;
        let machine = gethostname::gethostname().to_string_lossy().into_owned();
        let app = App {
            config,
            source,
            logging: logging.clone(),
            listeners,
            machine,
            files: raise_file_limit(),
            demo,
        };
        app.run(signals).await
    });
    // A resolver that hangs must not delay the end.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging.fatal(&format!("{error:#}"));
            exit_code(&error).into()
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<Died>() {
        SOFTWARE
    } else {
        FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_died_has_an_exit_code_of_its_own() {
        assert_eq!(exit_code(&Died("hub").into()), 70);
        assert_eq!(
            exit_code(&anyhow::anyhow!("second signal during shutdown")),
            1
        );
    }
}
