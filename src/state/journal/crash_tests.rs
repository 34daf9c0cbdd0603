//! Whatever happens between any two steps: what is read afterwards was true at
//! some moment, and no later than that is lost what had been written (a killed
//! process) or synced (a power cut).

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::begin_run;
use super::fake_store::{Crash, FakeStore};
use super::fixtures::{ended, message, opened, session};
use super::ledger::Ledger;
use super::lines::encode;
use super::mailbox::{Mailbox, Urgency};
use super::records::{Header, Record, Run, VERSION};
use super::segments::Segments;
use super::writer::Writer;

/// The journal without its threads, and what is known to be true.
struct Machine {
    store: FakeStore,
    mailbox: Arc<Mailbox>,
    writer: Writer,
    failing: Arc<AtomicBool>,
    now: Instant,
    posted: Vec<Record>,
    /// How many of those a kill must not lose, and how many a power cut must not.
    written: usize,
    synced: usize,
}

impl Machine {
    /// Starts on a disk that holds `posted`, all of it synced.
    fn start(store: FakeStore, mut posted: Vec<Record>, pid: u32) -> Option<Self> {
        let held = posted.len();
        let (segments, mut ledger) = Segments::load(Arc::new(store.clone())).ok()?;
        let run = Run { nonce: pid.to_string(), pid };
        begin_run(&mut ledger, run.clone());
        posted.push(Record::Run(run));
        let mailbox = Arc::new(Mailbox::new(ledger));
        let failing = Arc::new(AtomicBool::new(false));
        let now = Instant::now();
        let writer = Writer::new(Arc::clone(&mailbox), segments, Arc::clone(&failing), now);
        let mut machine =
            Self { store, mailbox, writer, failing, now, posted, written: held, synced: held };
        machine.note_written();
        Some(machine)
    }

    fn post(&mut self, record: Record) {
        self.posted.push(record.clone());
        self.mailbox.post(record, Urgency::Now, None);
    }

    fn step(&mut self) {
        self.writer.step(self.now);
        self.note_written();
    }

    fn note_written(&mut self) {
        if !self.is_failing() && !self.store.crashed() {
            self.written = self.posted.len();
        }
    }

    fn is_failing(&self) -> bool {
        self.failing.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Lets time pass, and syncs if the writer wants to.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.step();
        if let Some(job) = self.writer.sync_job(self.now) {
            let written = self.written;
            let result = job.run();
            if result.is_ok() {
                self.synced = written;
            }
            self.mailbox.synced(result);
            self.step();
        }
    }

    fn act(&mut self, rng: &mut fastrand::Rng) {
        match rng.u8(..10) {
            0 => self.pass(Duration::from_millis(rng.u64(..1200))),
            1 | 2 => self.step(),
            _ => self.post(random_record(rng)),
        }
    }

    /// How many of the posted records make the state that is found after the crash.
    fn check_after(&self, crash: Crash, rng: &mut fastrand::Rng) -> (FakeStore, usize) {
        let store = self.store.after(crash, rng);
        let (_, found) = Segments::load(Arc::new(store.clone())).unwrap();
        let least = if crash == Crash::Kill { self.written } else { self.synced };
        let found = found.snapshot();
        let mut ledger = fold(&self.posted[..least]);
        for count in least..=self.posted.len() {
            if ledger.snapshot() == found {
                // Another one, which has not been read yet: its steps begin at zero.
                return (store.after(Crash::Kill, rng), count);
            }
            if let Some(record) = self.posted.get(count) {
                ledger.apply(record.clone());
            }
        }
        panic!(
            "{crash:?}: {} posted, {} written, {} synced, found\n{}",
            self.posted.len(),
            self.written,
            self.synced,
            String::from_utf8_lossy(&found)
        );
    }
}

fn fold(records: &[Record]) -> Ledger {
    let mut ledger = Ledger::default();
    records.iter().cloned().for_each(|record| ledger.apply(record));
    ledger
}

fn random_record(rng: &mut fastrand::Rng) -> Record {
    let (of, number) = (format!("s{}", rng.u8(..4)), rng.u8(..6).to_string());
    match rng.u8(..7) {
        0 => session(&of),
        1 => Record::SessionForgotten { session: of },
        2 => opened(&of, &number),
        3 => ended(&of, &number),
        4 => Record::TurnConfirmed(message(&of, &number)),
        5 => Record::Queued(message(&of, &number)),
        _ => Record::Unqueued(message(&of, &number)),
    }
}

/// Begin, crash, begin again and so on, crashing at every step there is.
fn survives(crash: Crash) {
    for seed in 0..4 {
        for crash_at in 0.. {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut disk = FakeStore::default();
            let mut posted = Vec::new();
            let mut beyond_the_end = false;
            for pid in 1..=3 {
                // The second process crashes, perhaps while it reads what the first left.
                let store = if pid == 2 { disk.clone().crashing(crash_at) } else { disk.clone() };
                let Some(mut machine) = Machine::start(store, posted.clone(), pid) else {
                    disk = disk.after(crash, &mut rng);
                    continue;
                };
                for _ in 0..120 {
                    machine.act(&mut rng);
                }
                beyond_the_end |= pid == 2 && !machine.store.crashed();
                let (found, count) = machine.check_after(crash, &mut rng);
                posted = machine.posted[..count].to_vec();
                disk = found;
            }
            if beyond_the_end {
                assert!(crash_at > 30, "few steps to crash at: {crash_at}");
                break;
            }
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    survives(Crash::Kill);
}

#[test]
fn a_power_cut_loses_nothing_that_was_synced() {
    survives(Crash::PowerCut);
}

#[test]
fn a_disk_that_fails_for_a_while_has_everything_when_it_works_again() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut machine = Machine::start(FakeStore::default(), Vec::new(), 1).unwrap();
        for _ in 0..150 {
            machine.act(&mut rng);
            match rng.u8(..20) {
                0 => machine.store.break_with(Some(ErrorKind::StorageFull)),
                1 => machine.store.break_with(Some(ErrorKind::ReadOnlyFilesystem)),
                2 => machine.store.break_with(None),
                3 => {
                    // Only the sync fails.
                    machine.store.break_with(None);
                    machine.step();
                    machine.store.break_with(Some(ErrorKind::Other));
                    machine.pass(Duration::from_secs(1));
                    machine.store.break_with(None);
                }
                _ => {}
            }
        }
        machine.store.break_with(None);
        // Twice: what fails at the first moment is tried again.
        machine.pass(Duration::from_secs(31));
        machine.pass(Duration::from_secs(31));
        machine.pass(Duration::from_secs(31));
        assert!(!machine.is_failing());
        assert_eq!((machine.written, machine.synced), (machine.posted.len(), machine.posted.len()));
        for crash in [Crash::Kill, Crash::PowerCut] {
            machine.check_after(crash, &mut rng);
        }
        assert!(machine.store.file_count() <= 2, "seed {seed}");
    }
}

#[test]
fn what_comes_during_a_compaction_that_fails_is_written() {
    let mut machine = Machine::start(FakeStore::default(), Vec::new(), 1).unwrap();
    for number in 0..100 {
        machine.post(opened("s", &number.to_string()));
    }
    let mailbox = Arc::clone(&machine.mailbox);
    let store = machine.store.clone();
    let (began, writing) = bounded(10);
    let (release, hang) = bounded::<()>(0);
    store.stall_with(Some((began, hang)));
    store.create_nothing();
    let machine = std::thread::scope(|scope| {
        let stepping = scope.spawn(|| {
            machine.step();
            machine
        });
        // It is appending a batch that is large enough to be compacted after it.
        writing.recv_timeout(Duration::from_secs(10)).unwrap();
        mailbox.post(session("late"), Urgency::Now, None);
        drop(release);
        stepping.join().unwrap()
    });
    assert!(!machine.is_failing());
    let left = load(&machine.store);
    assert!(left.snapshot().windows(6).any(|text| text == b"\"late\""));
}

#[test]
fn a_failing_disk_is_not_tried_all_the_time() {
    let mut machine = Machine::start(FakeStore::default(), Vec::new(), 1).unwrap();
    machine.store.break_with(Some(ErrorKind::StorageFull));
    machine.post(opened("s", "m"));
    machine.step();
    let steps = machine.store.steps();
    for number in 0..1000 {
        machine.post(opened("s", &number.to_string()));
        machine.step();
    }
    assert_eq!(machine.store.steps(), steps);
    assert_eq!(machine.writer.due(), Some(machine.now + Duration::from_secs(30)));
}

#[test]
fn nothing_is_due_when_everything_is_synced() {
    let mut machine = Machine::start(FakeStore::default(), Vec::new(), 1).unwrap();
    machine.pass(Duration::from_secs(1));
    assert_eq!(machine.writer.due(), None);
    machine.post(opened("s", "m"));
    machine.step();
    assert!(machine.writer.due().unwrap() < machine.now + Duration::from_secs(1));
    machine.pass(Duration::from_secs(1));
    assert_eq!(machine.writer.due(), None);
}

#[test]
fn a_long_history_does_not_make_a_large_file() {
    let mut machine = Machine::start(FakeStore::default(), Vec::new(), 1).unwrap();
    machine.post(session("s"));
    for number in 0..5000 {
        let number = number.to_string();
        machine.post(opened("s", &number));
        machine.post(ended("s", &number));
        machine.post(Record::TurnConfirmed(message("s", &number)));
        machine.pass(Duration::from_secs(1));
        assert!(machine.store.file_count() <= 2);
        // The last 1,024 ids stay.
        assert!(machine.store.newest().len() < 32 * 1024);
    }
    machine.check_after(Crash::PowerCut, &mut fastrand::Rng::with_seed(0));
}

fn small_journal() -> (Vec<u8>, Vec<Record>) {
    let mut machine = Machine::start(FakeStore::default(), Vec::new(), 1).unwrap();
    for record in [
        session("a"),
        opened("a", "1"),
        ended("a", "1"),
        opened("a", "2"),
        Record::Queued(message("a", "3")),
    ] {
        machine.post(record);
    }
    machine.step();
    (machine.store.newest(), machine.posted)
}

fn load(store: &FakeStore) -> Ledger {
    Segments::load(Arc::new(store.clone())).unwrap().1
}

#[test]
fn a_flipped_bit_costs_one_record() {
    let (bytes, records) = small_journal();
    let mut possible = vec![fold(&records).snapshot()];
    for lost in 0..records.len() {
        let mut others = records.clone();
        others.remove(lost);
        possible.push(fold(&others).snapshot());
    }
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let found = load(&FakeStore::holding(&[&damaged])).snapshot();
        assert!(possible.contains(&found), "bit {bit}: {}", String::from_utf8_lossy(&found));
    }
}

#[test]
fn a_damaged_snapshot_does_not_hide_what_is_older() {
    let (old, records) = small_journal();
    let mut new = fold(&records).snapshot();
    let later = opened("b", "4");
    encode(&later, &mut new);
    // In the middle of the snapshot, which is at the start.
    new[120] ^= 1;
    let mut everything = records;
    everything.push(later);
    assert_eq!(load(&FakeStore::holding(&[&old, &new])).recover(), fold(&everything).recover(),);
}

#[test]
fn a_newer_version_is_set_aside_whole() {
    let (old, records) = small_journal();
    let mut newer = Vec::new();
    encode(&Header { journal: VERSION + 1, snapshot: 0 }, &mut newer);
    encode(&opened("x", "y"), &mut newer);
    let store = FakeStore::holding(&[&old, &newer]);
    let mut machine = Machine::start(store.clone(), records, 2).unwrap();
    machine.pass(Duration::from_secs(1));
    assert_eq!(store.set_aside(), [newer]);
    machine.check_after(Crash::PowerCut, &mut fastrand::Rng::with_seed(0));
}

#[test]
fn what_is_intact_but_not_understood_is_set_aside_after_the_rest_was_used() {
    let (mut bytes, records) = small_journal();
    encode(&serde_json::json!({"t": "invented_later"}), &mut bytes);
    let store = FakeStore::holding(&[&bytes]);
    let mut machine = Machine::start(store.clone(), records, 2).unwrap();
    machine.pass(Duration::from_secs(1));
    assert_eq!(store.set_aside(), [bytes]);
    machine.check_after(Crash::PowerCut, &mut fastrand::Rng::with_seed(0));
}

#[test]
fn noise_is_an_empty_journal() {
    let mut rng = fastrand::Rng::with_seed(3);
    for length in 0..200 {
        let noise: Vec<u8> = (0..length).map(|_| rng.u8(..)).collect();
        assert_eq!(super::read(&noise), super::Recovery::default());
    }
}
