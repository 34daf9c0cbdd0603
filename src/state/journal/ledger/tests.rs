use super::*;
use crate::state::journal::fixtures::{ended, message, opened, session};

fn folded(records: impl IntoIterator<Item = Record>) -> Ledger {
    let mut ledger = Ledger::default();
    records.into_iter().for_each(|record| ledger.apply(record));
    ledger
}

#[test]
fn a_turn_is_open_then_ended_then_gone() {
    let mut ledger = folded([session("s"), opened("s", "m")]);
    assert_eq!(ledger.recover().open_turns.len(), 1);
    ledger.apply(ended("s", "m"));
    let recovery = ledger.recover();
    assert!(recovery.open_turns.is_empty());
    assert_eq!(recovery.ended_turns[0].message_id, "m");
    ledger.apply(Record::TurnConfirmed(message("s", "m")));
    let recovery = ledger.recover();
    assert!(recovery.ended_turns.is_empty());
    assert_eq!(recovery.recent, [("s".to_owned(), vec!["m".to_owned()])]);
}

#[test]
fn a_queued_message_is_gone_when_its_turn_opens() {
    let mut ledger = folded([Record::Queued(message("s", "m")), Record::Queued(message("s", "n"))]);
    ledger.apply(opened("s", "m"));
    assert_eq!(ledger.recover().queued, [message("s", "n")]);
    ledger.apply(Record::Unqueued(message("s", "n")));
    assert!(ledger.recover().queued.is_empty());
}

#[test]
fn an_unknown_session_that_owes_nothing_leaves_no_trace() {
    let ledger = folded([
        opened("s", "m"),
        ended("s", "m"),
        Record::TurnConfirmed(message("s", "m")),
        Record::Queued(message("t", "m")),
        Record::Unqueued(message("t", "m")),
        session("u"),
        Record::SessionForgotten { session: "u".into() },
    ]);
    assert!(ledger.sessions.is_empty() && ledger.resting.len() == 0);
    assert_eq!((ledger.remembered, ledger.turns, ledger.recent), (0, 0, 0));
}

#[test]
fn the_session_unused_for_longest_is_forgotten_first() {
    let mut ledger = folded((0..MOST_SESSIONS).map(|number| session(&format!("s{number}"))));
    ledger.apply(opened("s0", "m"));
    ledger.apply(session("new"));
    let sessions = ledger.recover().sessions;
    assert_eq!(sessions.len(), MOST_SESSIONS);
    assert!(sessions.iter().any(|session| session.session_id == "s0"));
    assert!(!sessions.iter().any(|session| session.session_id == "s1"));
}

#[test]
fn recent_ids_are_bounded_for_each_session_and_in_all() {
    let turns = |session: &str, from: usize, count: usize| {
        let session = session.to_owned();
        (from..from + count).map(move |number| opened(&session, &number.to_string()))
    };
    let mut ledger = folded(turns("busy", 0, MOST_RECENT + 10));
    let recent = &ledger.recover().recent[0].1;
    assert_eq!((recent.len(), recent[0].as_str()), (MOST_RECENT, "10"));

    for other in 0..=MOST_RECENT_IN_ALL / MOST_RECENT {
        turns(&format!("other{other}"), 0, MOST_RECENT).for_each(|turn| ledger.apply(turn));
    }
    let recent = ledger.recover().recent;
    let busy = &recent.iter().find(|(session, _)| session == "busy").unwrap().1;
    assert_eq!(busy.len(), RECENT_WHEN_FULL);
    assert_eq!(busy.last().unwrap(), &(MOST_RECENT + 9).to_string());
    assert!(recent.iter().map(|(_, ids)| ids.len()).sum::<usize>() <= MOST_RECENT_IN_ALL);
}

#[test]
fn undelivered_is_told_once_and_only_eight_runs_are_kept() {
    let run = |number: u32| Record::Run(Run { nonce: number.to_string(), pid: number });
    let mut ledger = folded((0..10).map(run));
    ledger.apply(Record::Undelivered(Undelivered { entries: 3, sessions: 1 }));
    let recovery = ledger.recover();
    assert_eq!(recovery.runs.len(), MOST_RUNS);
    assert_eq!(recovery.undelivered, Some(Undelivered { entries: 3, sessions: 1 }));
    assert_eq!(ledger.recover().undelivered, None);
    ledger.apply(Record::RunOver { nonce: "9".into() });
    assert_eq!(ledger.recover().runs.last().unwrap().pid, 8);
}

#[test]
fn a_snapshot_says_all_of_it() {
    let mut ledger = folded([
        session("a"),
        session("b"),
        opened("b", "1"),
        opened("a", "2"),
        ended("b", "1"),
        opened("b", "3"),
        Record::Queued(message("a", "4")),
        Record::Undelivered(Undelivered { entries: 1, sessions: 1 }),
        Record::Run(Run { nonce: "n".into(), pid: 1 }),
    ]);
    let mut again = folded(ledger.records());
    assert_eq!(again.snapshot(), ledger.snapshot());
    assert_eq!(again.recover(), ledger.recover());
}

#[test]
fn a_session_that_rests_is_packed_and_loses_nothing() {
    let uncertain = Record::Session(RememberedSession {
        session_id: "b".into(),
        endpoint_id: "e".into(),
        user_id: "ü\"".into(),
        prompt_profile: Some("p".into()),
        uncertain: true,
    });
    let records = [session("a"), uncertain, opened("a", "1"), ended("a", "1"), opened("b", "2")];
    let [mut ledger, mut restless] = [0, 1].map(|_| folded(records.clone()));
    ledger.rest("a");
    assert_eq!(ledger.resting.len(), 0, "its end is not confirmed");
    let confirmed = Record::TurnConfirmed(message("a", "1"));
    for ledger in [&mut ledger, &mut restless] {
        ledger.apply(confirmed.clone());
    }
    assert_eq!((ledger.resting.len(), ledger.sessions.len()), (1, 1));
    assert_eq!(ledger.recover(), restless.recover());

    // The next process is told the same, and takes up where this one ended.
    let mut next = folded(ledger.records());
    next.all_rest();
    assert_eq!((next.resting.len(), next.sessions.len()), (1, 1), "b owes a turn's end");
    for ledger in [&mut next, &mut restless] {
        ledger.apply(opened("a", "3"));
    }
    assert_eq!(next.resting.len(), 0);
    assert_eq!(next.recover(), restless.recover());
    next.apply(Record::SessionForgotten { session: "a".into() });
    assert_eq!((next.remembered, next.turns, next.recent), (1, 2, 1));
}

#[test]
fn sessions_that_rest_are_forgotten_like_others() {
    let mut ledger = folded((0..MOST_SESSIONS).map(|number| session(&format!("s{number}"))));
    ledger.all_rest();
    assert_eq!(ledger.resting.len(), MOST_SESSIONS);
    ledger.apply(session("new"));
    let sessions = ledger.recover().sessions;
    assert_eq!((sessions.len(), sessions[0].session_id.as_str()), (MOST_SESSIONS, "s1"));
}

#[test]
fn the_ids_of_sessions_that_rest_are_bounded_like_those_of_others() {
    let mut ledger = folded((1..=100).map(|number| session(&format!("s{number}"))));
    for number in 1..=MOST_RECENT_IN_ALL + MOST_RECENT {
        let (id, number) = (format!("s{}", number % 100 + 1), number.to_string());
        ledger.apply(opened(&id, &number));
        ledger.apply(ended(&id, &number));
        ledger.apply(Record::TurnConfirmed(message(&id, &number)));
        ledger.rest(&id);
    }
    assert_eq!((ledger.recent, ledger.sessions.len()), (MOST_RECENT_IN_ALL + MOST_RECENT, 0));
    ledger.apply(opened("s7", "one more"));
    assert_eq!(ledger.recent, 100 * RECENT_WHEN_FULL);
    assert!(ledger.recover().recent.iter().all(|(_, ids)| ids.len() == RECENT_WHEN_FULL));
}
