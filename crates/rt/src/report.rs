//! The one line that a failed command prints, and the log that engines read.
//!
//! With `--log` an error goes to the log and to standard error, as runc does it. Engines decode the whole log as one
//! JSON object: nothing but an error is written there unless `--log-level` asks for more.

use crate::args::{Global, Level, LogFormat};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

/// Where errors and warnings go.
#[derive(Debug)]
pub(crate) struct Report {
    sink: &'static Sink,
    subject: String,
}

#[derive(Debug)]
struct Sink {
    log: Option<File>,
    format: LogFormat,
    level: Level,
}

static SINK: OnceLock<Sink> = OnceLock::new();

/// One line of the log: logrus's keys, which engines read, then rt's.
#[derive(Serialize)]
struct Line<'a> {
    level: &'a str,
    msg: &'a str,
    time: &'a str,
}

/// Open the log for a command on a container.
pub(crate) fn open(global: &Global, command: &str, container: Option<&str>) -> Result<Report, String> {
    let log = global.log.as_deref().filter(|path| !path.as_os_str().is_empty()).map(open_log).transpose()?;
    let quiet = if log.is_some() { Level::Error } else { Level::Warning };
    let level = if global.debug { Level::Debug } else { global.log_level.unwrap_or(quiet) };
    let sink = SINK.get_or_init(|| Sink { log, format: global.log_format, level });
    if level == Level::Debug && log::set_logger(sink).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
    let subject = one_line(&container.map_or_else(|| format!("rt {command}"), |id| format!("rt {command} {id}")));
    Ok(Report { sink, subject })
}

fn open_log(path: &Path) -> Result<File, String> {
    // 0644, O_APPEND and O_SYNC as runc: several commands may share one, and what it says is to outlive a crash.
    let synchronous = 0o4_010_000;
    let opened = OpenOptions::new().create(true).append(true).mode(0o644).custom_flags(synchronous).open(path);
    opened.map_err(|error| {
        let answer = error.raw_os_error().map_or_else(|| error.to_string(), rt_plan::words);
        format!("open the log {}: {answer}", path.display())
    })
}

impl Report {
    /// The command failed.
    pub(crate) fn error(&self, text: &str) {
        if self.sink.log.is_some() {
            self.sink.write("error", text);
        }
        eprintln!("{}: {}", self.subject, one_line(text));
    }

    /// The command did less than was asked.
    pub(crate) fn warning(&self, text: &str) {
        if self.sink.level < Level::Warning {
            return;
        }
        match self.sink.log {
            Some(_) => self.sink.write("warning", text),
            None => eprintln!("{}: warning: {}", self.subject, one_line(text)),
        }
    }
}

/// What a config or a kernel puts into a message can't forge a second line of it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Sink {
    fn write(&self, level: &str, msg: &str) {
        let time = rt_runtime::seconds_now();
        let line = match self.format {
            LogFormat::Json => serde_json::to_string(&Line { level, msg, time: &time }).unwrap_or_default(),
            LogFormat::Text => format!("time=\"{time}\" level={level} msg={msg:?}"),
        };
        let line = format!("{line}\n");
        match &self.log {
            // One write: lines of several commands do not mix.
            Some(log) => drop((&*log).write_all(line.as_bytes())),
            None => drop(std::io::stderr().write_all(line.as_bytes())),
        }
    }
}

/// For `--debug`.
impl log::Log for Sink {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.write("debug", &record.args().to_string());
    }

    fn flush(&self) {}
}
