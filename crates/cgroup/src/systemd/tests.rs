//! The client against a bus of our own, which is what it should be or is not, and the properties of a whole config.

use super::address::Surroundings;
use super::manager::Systemd;
use super::message::{CALL, ERROR, FIXED, Message, RETURN, SIGNAL, length, message};
use super::properties::{self, Property};
use super::unit::{Unit, Whose};
use super::value::Value;
use crate::error::Error;
use rt_plan::spec::resources::Resources;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// As long as the client waits here: an answer takes microseconds.
const PATIENCE: Duration = Duration::from_millis(300);
/// Far more than all waits of a test.
const BOUND: Duration = Duration::from_secs(20);

/// What the other side does when a method is called.
#[derive(Clone, Debug)]
enum Does {
    /// A reply with this body.
    Say(Vec<Value>),
    /// An error of this name.
    Refuse(&'static str),
    /// A job, which ends so.
    Job(&'static str),
    /// A job that has ended before the call is answered.
    Early,
    /// A job that others, and somebody who only says to be systemd, end; then, perhaps, systemd.
    Others(Option<&'static str>),
    /// These bytes.
    Bytes(Vec<u8>),
    /// Signals that are none of ours, for as long as anybody listens.
    Flood,
    /// Nothing at all.
    Nothing,
    /// The end.
    Close,
}

/// A socket in a directory of its own, and a thread behind it that serves one client.
struct Fake {
    directory: PathBuf,
    served: Option<JoinHandle<Vec<String>>>,
}

impl Fake {
    /// `greeting` is said to whoever authenticates.
    fn new(greeting: &'static [u8], does: impl Fn(&str, usize) -> Does + Send + 'static) -> Self {
        Self::at("bus", greeting, does)
    }

    fn at(name: &str, greeting: &'static [u8], does: impl Fn(&str, usize) -> Does + Send + 'static) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("rt-bus-{}-{number}", std::process::id()));
        let socket = directory.join(name);
        std::fs::create_dir_all(socket.parent().expect("it has one")).expect("a directory");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let served = thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            serve(stream, greeting, does)
        });
        Self { directory, served: Some(served) }
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings { runtime: self.directory.to_str().map(str::to_owned), ..Surroundings::default() }
    }

    fn connect(&self) -> Result<Systemd, Error> {
        Systemd::connect_as(&unit(), &self.surroundings(), PATIENCE)
    }

    /// The methods that were called, once the client has gone.
    fn calls(mut self) -> Vec<String> {
        self.served.take().expect("once").join().expect("it serves")
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn unit() -> Unit {
    Unit::new(Some("a.slice:b:c"), "web", Whose::User).expect("a unit")
}

const OK: &[u8] = b"DATA\r\nOK 0123456789abcdef\r\n";
const SYSTEMD: &str = ":1.1";
const JOB: &str = "/org/freedesktop/systemd1/job/7";

fn serve(mut stream: UnixStream, greeting: &[u8], does: impl Fn(&str, usize) -> Does) -> Vec<String> {
    let mut calls = Vec::new();
    let mut hello = vec![0; b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n".len()];
    if stream.read_exact(&mut hello).is_err() || hello != b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n" {
        return calls;
    }
    // Byte by byte, which is as good.
    if greeting.iter().any(|byte| stream.write_all(&[*byte]).is_err()) {
        return calls;
    }
    while let Some((serial, call)) = receive(&mut stream) {
        assert_eq!(call.kind, CALL);
        calls.push(call.member.clone());
        let times = calls.iter().filter(|known| **known == call.member).count();
        for bytes in answer(serial, does(&call.member, times)) {
            let sent = bytes.map(|bytes| stream.write_all(&bytes));
            match sent {
                Some(Ok(())) => {}
                Some(Err(_)) | None => return calls,
            }
        }
    }
    calls
}

fn receive(stream: &mut UnixStream) -> Option<(u32, Message)> {
    let mut bytes = vec![0; FIXED];
    stream.read_exact(&mut bytes).ok()?;
    let len = length(bytes.first_chunk().expect("as long")).expect("the client's are well-formed");
    bytes.resize(len, 0);
    stream.read_exact(&mut bytes[FIXED..]).ok()?;
    let serial = u32::from_le_bytes(*bytes[8..].first_chunk().expect("as long"));
    Some((serial, Message::read(&bytes).expect("the client's are well-formed")))
}

fn answer(serial: u32, does: Does) -> Box<dyn Iterator<Item = Option<Vec<u8>>>> {
    let job = || vec![Value::Path(JOB.to_owned())];
    let list = |all: Vec<Vec<u8>>| Box::new(all.into_iter().map(Some));
    match does {
        Does::Say(body) => list(vec![reply(serial, &body)]),
        Does::Refuse(name) => list(vec![error(serial, name)]),
        Does::Job(result) => list(vec![reply(serial, &job()), removed(SYSTEMD, JOB, result)]),
        Does::Early => list(vec![removed(SYSTEMD, JOB, "done"), reply(serial, &job())]),
        Does::Others(result) => {
            let others = [removed(SYSTEMD, "/org/freedesktop/systemd1/job/8", "failed"), removed(":1.66", JOB, "done")];
            let last = result.map(|result| removed(SYSTEMD, JOB, result));
            list([reply(serial, &job())].into_iter().chain(others).chain(last).collect())
        }
        Does::Bytes(bytes) => list(vec![bytes]),
        Does::Flood => Box::new(std::iter::repeat_with(|| Some(removed(SYSTEMD, "/x", "done")))),
        Does::Nothing => list(Vec::new()),
        Does::Close => Box::new(std::iter::once(None)),
    }
}

fn with_body(kind: u8, mut fields: Vec<(u8, Value)>, values: &[Value]) -> Vec<u8> {
    let mut body = Vec::new();
    values.iter().for_each(|value| value.write(&mut body));
    fields.push((8, Value::Signature(values.iter().map(Value::signature).collect())));
    message(kind, 99, &fields, &body)
}

fn reply(serial: u32, body: &[Value]) -> Vec<u8> {
    with_body(RETURN, vec![(5, Value::U32(serial)), (7, Value::text(SYSTEMD))], body)
}

fn error(serial: u32, name: &str) -> Vec<u8> {
    let fields = vec![(5, Value::U32(serial)), (4, Value::text(name)), (7, Value::text(SYSTEMD))];
    with_body(ERROR, fields, &[Value::text("The words of systemd.")])
}

fn removed(sender: &str, job: &str, result: &str) -> Vec<u8> {
    let fields = vec![
        (1, Value::Path("/org/freedesktop/systemd1".to_owned())),
        (2, Value::text("org.freedesktop.systemd1.Manager")),
        (3, Value::text("JobRemoved")),
        (7, Value::text(sender)),
    ];
    let unit = Value::text(unit().name);
    with_body(SIGNAL, fields, &[Value::U32(7), Value::Path(job.to_owned()), unit, Value::text(result)])
}

/// What a good one does.
fn well(member: &str, times: usize) -> Does {
    let text = |text: &str| Does::Say(vec![Value::Variant(Box::new(Value::text(text)))]);
    match member {
        "Hello" => Does::Say(vec![Value::text(":1.2")]),
        "Get" if times == 1 => text("252 (252.39-1~deb12u2)"),
        "Get" => text("/user.slice/above.service"),
        "StartTransientUnit" | "StopUnit" => Does::Job("done"),
        _ => Does::Say(Vec::new()),
    }
}

/// A good one that does something else when `member` is called.
fn but(member: &'static str, does: Does) -> impl Fn(&str, usize) -> Does + Send + 'static {
    move |called, times| if called == member { does.clone() } else { well(called, times) }
}

fn properties() -> Vec<Property> {
    properties::scope(&unit(), "web", std::iter::empty()).expect("properties")
}

const GREETING: [&str; 4] = ["Hello", "AddMatch", "Get", "Get"];

fn called(more: &[&str]) -> Vec<String> {
    GREETING.iter().chain(more).map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_unit_is_started_and_stopped() {
    let fake = Fake::new(OK, well);
    let mut systemd = fake.connect().expect("a bus");
    assert_eq!(systemd.version(), 252);
    systemd.start(&properties()).expect("started");
    systemd.stop().expect("stopped");
    drop(systemd);
    assert_eq!(fake.calls(), called(&["StartTransientUnit", "StopUnit", "ResetFailedUnit"]));
}

#[test]
fn the_job_s_end_may_come_before_the_answer_and_others_do_not_count() {
    for does in [Does::Early, Does::Others(Some("done"))] {
        let fake = Fake::new(OK, but("StartTransientUnit", does.clone()));
        fake.connect().expect("a bus").start(&properties()).unwrap_or_else(|error| panic!("{does:?}: {error}"));
    }
    let fake = Fake::new(OK, but("StartTransientUnit", Does::Others(Some("timeout"))));
    let error = fake.connect().expect("a bus").start(&properties()).expect_err("it failed").to_string();
    assert_eq!(error, "systemd does not start b-c.scope: the job's result is \"timeout\"");
}

#[test]
fn what_systemd_says_is_passed_on() {
    let fake = Fake::new(OK, but("StartTransientUnit", Does::Refuse("org.freedesktop.DBus.Error.PropertyReadOnly")));
    let error = fake.connect().expect("a bus").start(&properties()).expect_err("it failed").to_string();
    assert_eq!(error, "systemd does not start b-c.scope: The words of systemd");
    let fake = Fake::new(OK, but("Get", Does::Refuse("org.freedesktop.DBus.Error.ServiceUnknown")));
    let error = fake.connect().expect_err("nobody there").to_string();
    assert_eq!(error, "systemd does not look after b-c.scope: The words of systemd");
}

#[test]
fn a_unit_that_is_left_of_a_failed_one_is_forgotten_first() {
    let once = |member: &str, times: usize| match member {
        "StartTransientUnit" if times == 1 => Does::Refuse("org.freedesktop.systemd1.UnitExists"),
        _ => well(member, times),
    };
    let fake = Fake::new(OK, once);
    fake.connect().expect("a bus").start(&properties()).expect("started");
    assert_eq!(fake.calls(), called(&["StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"]));
    let fake = Fake::new(OK, but("StartTransientUnit", Does::Refuse("org.freedesktop.systemd1.UnitExists")));
    assert!(fake.connect().expect("a bus").start(&properties()).is_err());
    assert_eq!(fake.calls(), called(&["StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"]));
}

#[test]
fn only_what_was_started_is_undone() {
    let undone = |does: Does| {
        let fake = Fake::new(OK, but("StartTransientUnit", does));
        let mut systemd = fake.connect().expect("a bus");
        let _ = systemd.start(&properties());
        systemd.undo();
        drop(systemd);
        fake.calls().iter().any(|call| call == "StopUnit")
    };
    assert!(!undone(Does::Refuse("org.freedesktop.systemd1.UnitExists")));
    assert!(!undone(Does::Nothing));
    for does in [Does::Job("done"), Does::Job("failed"), Does::Others(None)] {
        assert!(undone(does));
    }
}

#[test]
fn a_unit_that_is_gone_is_stopped() {
    let fake = Fake::new(OK, but("StopUnit", Does::Refuse("org.freedesktop.systemd1.NoSuchUnit")));
    fake.connect().expect("a bus").stop().expect("stopped");
    assert_eq!(fake.calls(), called(&["StopUnit"]));
    let fake = Fake::new(OK, but("StopUnit", Does::Refuse("org.freedesktop.DBus.Error.AccessDenied")));
    assert!(fake.connect().expect("a bus").stop().is_err());
}

#[test]
fn no_wait_is_without_end() {
    let started = Instant::now();
    let late = |fake: Fake| {
        let mut systemd = match fake.connect() {
            Ok(systemd) => systemd,
            Err(error) => return (error.to_string(), fake.calls()),
        };
        let error = systemd.start(&properties()).expect_err("nobody answers").to_string();
        let before = Instant::now();
        systemd.stop().expect("said, and not waited for");
        assert!(before.elapsed() < PATIENCE);
        drop(systemd);
        (error, fake.calls())
    };
    let words = "systemd has not answered within 0 s";
    for does in [Does::Nothing, Does::Others(None), Does::Flood] {
        let (error, calls) = late(Fake::new(OK, but("StartTransientUnit", does.clone())));
        assert!(error.starts_with(words), "{does:?}: {error}");
        // Who only sends does not hear of it.
        assert!(matches!(does, Does::Flood) || calls.last().is_some_and(|last| last == "StopUnit"), "{calls:?}");
    }
    for member in ["Hello", "Get"] {
        let (error, _) = late(Fake::new(OK, move |called, times| match called == member || member == "Hello" {
            true => Does::Nothing,
            false => well(called, times),
        }));
        assert!(error.starts_with(words), "{error}");
    }
    for greeting in [&b""[..], b"DATA\r\n", b"OK 0123"] {
        let (error, _) = late(Fake::new(greeting, well));
        assert!(error.contains("/bus: it does not answer"), "{error}");
    }
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
}

#[test]
fn nobody_accepts_is_late_as_well() {
    let directory = std::env::temp_dir().join(format!("rt-backlog-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("bus");
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).expect("one");
    rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(&path).expect("short")).expect("bound");
    rustix::net::listen(&socket, 0).expect("it listens");
    let first = UnixStream::connect(&path).expect("the one place there is");
    let surroundings = Surroundings { runtime: directory.to_str().map(str::to_owned), ..Surroundings::default() };
    let started = Instant::now();
    let error = Systemd::connect_as(&unit(), &surroundings, PATIENCE).expect_err("nobody accepts").to_string();
    assert!(error.contains("it does not answer") && started.elapsed() < BOUND, "{error}");
    drop(first);
    let _ = std::fs::remove_dir_all(directory);
}

#[test]
fn what_is_no_bus_is_named_as_such() {
    let huge = [b"l\x02\0\x01\0\0\0\x7f\x01\0\0\0\0\0\0\0".to_vec(), vec![0; 100]].concat();
    let fields = b"l\x02\0\x01\0\0\0\0\x01\0\0\0\xff\xff\xff\x7f".to_vec();
    let nonsense = b"l\x02\0\x01\0\0\0\0\x01\0\0\0\x08\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff".to_vec();
    let big = b"B\x02\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0".to_vec();
    for (bytes, words) in [
        (huge, "a message that is too long"),
        (fields, "a message that is too long"),
        (nonsense, "a message that is not as its header says"),
        (big, "no message of version 1, little-endian"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "no message of version 1, little-endian"),
    ] {
        let fake = Fake::new(OK, but("StartTransientUnit", Does::Bytes(bytes)));
        let error = fake.connect().expect("a bus").start(&properties()).expect_err("no answer").to_string();
        assert!(error.contains(&format!("/bus: what came is {words}")), "{error}");
    }
    for (greeting, words) in [
        (&b"HTTP/1.1 400\r\n"[..], "what came is a greeting that is none"),
        (&[b'x'; 9000], "what came is a greeting that does not end"),
        (b"REJECTED EXTERNAL\r\n", "it does not accept this user"),
        (b"DATA\r\nREJECTED\r\n", "it does not accept this user"),
    ] {
        let error = Fake::new(greeting, well).connect().expect_err("no greeting").to_string();
        assert!(error.contains(words), "{error}");
    }
    for body in [vec![], vec![Value::U32(7)], vec![Value::text("/job"), Value::text("/job")]] {
        let fake = Fake::new(OK, but("StartTransientUnit", Does::Say(body)));
        let error = fake.connect().expect("a bus").start(&properties()).expect_err("no job").to_string();
        assert!(error.contains("an answer to something else"), "{error}");
    }
    let fake = Fake::new(OK, but("Get", Does::Say(vec![Value::Variant(Box::new(Value::U32(252)))])));
    assert!(fake.connect().expect_err("no version").to_string().contains("an answer to something else"));
}

#[test]
fn one_that_leaves_is_named() {
    for member in ["StartTransientUnit", "StopUnit", "Get", "Hello"] {
        let fake = Fake::new(OK, but(member, Does::Close));
        let ended = fake.connect().and_then(|mut systemd| systemd.start(&properties()).and_then(|()| systemd.stop()));
        let error = ended.expect_err("it left").to_string();
        assert!(error.contains("/bus: it has closed the connection"), "{member}: {error}");
    }
}

#[test]
fn without_a_bus_systemd_itself_is_asked() {
    let fake = Fake::at("systemd/private", OK, well);
    let mut systemd = fake.connect().expect("systemd");
    systemd.start(&properties()).expect("started");
    drop(systemd);
    assert_eq!(fake.calls(), ["Get", "Get", "StartTransientUnit"]);
}

#[test]
fn of_what_is_not_there_the_bus_is_named() {
    let surroundings = Surroundings { runtime: Some("/nonexistent".to_owned()), ..Surroundings::default() };
    let error = Systemd::connect_as(&unit(), &surroundings, PATIENCE).expect_err("nothing there").to_string();
    let expected = "systemd can't be reached at /nonexistent/bus: no such file or directory (is this user logged in, with a \
                    D-Bus of their own? Without it: --cgroup-manager cgroupfs)";
    assert_eq!(error, expected);
    let given = Surroundings { session: Some("tcp:host=example".to_owned()), ..surroundings };
    let error = Systemd::connect_as(&unit(), &given, PATIENCE).expect_err("no such bus").to_string();
    assert!(error.starts_with("systemd can't be reached at tcp:host=example: "), "{error}");
}

/// What a whole config comes to. `UPDATE_GOLDEN=1` writes the file anew.
#[test]
fn properties_of_a_whole_config_are_golden() {
    let config = r#"{
        "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}],
        "memory": {"limit": 67108864, "reservation": 33554432, "swap": 134217728, "checkBeforeUpdate": true},
        "cpu": {"shares": 512, "quota": 12345, "period": 100000, "burst": 1000, "cpus": "0-1", "mems": "0"},
        "pids": {"limit": 33},
        "blockIO": {"weight": 500, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1000000}],
        "unified": {"memory.high": "60000000", "memory.oom.group": "1", "cgroup.max.depth": "3"}
    }"#;
    let resources: Resources = serde_json::from_str(config).expect("valid resources");
    let annotations = [("org.systemd.property.TimeoutStopSec", "7"), ("org.systemd.property.After", "['x.service']")];
    let mut told = properties::scope(&unit(), "web", annotations.into_iter()).expect("properties");
    told.extend(properties::properties(&resources, u32::MAX).expect("properties"));
    let text: String = told.iter().map(|property| format!("{property} ({})\n", property.value.signature())).collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/systemd.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, &text).expect("it can be written");
    }
    assert_eq!(text, std::fs::read_to_string(file).expect("it is there"));
}
