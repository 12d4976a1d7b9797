//! Command line, runtime, exit code. Not here: decisions.

use std::{
    ffi::OsString,
    io::{IsTerminal, Write, stderr},
    process::ExitCode,
};

use cla_socketserver::{
    app::App,
    check,
    cli::{Cli, Command},
    config::{self, Config, Flags, LogFormat, Sockets},
    lifecycle::{Died, Listeners, Passed, Signals, raise_file_limit},
};
use clap::Parser;
use tracing::{error, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Gives memory back after an attack, which the system's allocator hardly does.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit codes, as in `sysexits.h`.
const FAILURE: u8 = 1;
const USAGE: u8 = 64;
const SOFTWARE: u8 = 70;
const CONFIG: u8 = 78;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nowhere to report to if the terminal is gone.
            let _ = error.print();
            return if error.use_stderr() {
                USAGE.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let flags = Flags {
        config: cli.config,
        public_listen: cli.public_listen,
        admin_listen: cli.admin_listen,
    };
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let environment: Vec<_> = environment.collect();
    if let Some(Command::Check { quiet }) = cli.command {
        return check(&flags, &environment, quiet);
    }
    let passed = match Passed::take() {
        Ok(passed) => passed,
        Err(error) => return refuse(error),
    };
    match config::load(&flags, environment, &passed.sockets()) {
        Ok(loaded) => serve(loaded.config, passed, cli.demo),
        Err(errors) => refuse(errors),
    }
}

fn check(flags: &Flags, environment: &[(String, String)], quiet: bool) -> ExitCode {
    match check::as_service(flags, environment, quiet) {
        Some(0) => return ExitCode::SUCCESS,
        Some(code) if code == i32::from(CONFIG) => return CONFIG.into(),
        Some(_) => return refuse(check::NotRun),
        None => {}
    }
    let sockets = Sockets::of_units(environment);
    match config::load(flags, environment.iter().cloned(), &sockets) {
        Ok(_) if quiet => ExitCode::SUCCESS,
        Ok(loaded) => match check::show(&loaded, environment) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(errors) => refuse(errors),
    }
}

/// Says what must be changed before a start can succeed.
fn refuse(error: impl Into<anyhow::Error>) -> ExitCode {
    let _ = writeln!(stderr(), "{:#}", error.into());
    CONFIG.into()
}

fn serve(config: Config, passed: Passed, demo: bool) -> ExitCode {
    log_to_stderr(&config);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        let signals = Signals::listen()?;
        let listeners = Listeners::open(&config, passed)?;
        let machine = gethostname::gethostname().to_string_lossy().into_owned();
        let app = App {
            config,
            listeners,
            machine,
            files: raise_file_limit(),
            demo,
        };
        app.run(signals).await
    });
    // A resolver that hangs must not hold up the end.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = format!("{error:#}"), "{error:#}");
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

/// Dependencies may only warn: at lower levels they show what strangers send.
fn log_to_stderr(config: &Config) {
    let level: LevelFilter = config.log.level.name().parse().unwrap_or(LevelFilter::INFO);
    let filter = Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = fmt::layer()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal());
    let lines = match config.log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_died_has_an_exit_code_of_its_own() {
        assert_eq!(exit_code(&Died("hub").into()), 70);
        assert_eq!(exit_code(&anyhow::anyhow!("told twice to stop")), 1);
    }
}
