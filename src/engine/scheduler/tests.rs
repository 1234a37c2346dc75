use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::pace::Extent;
use super::queue::{Entry, Queue};
use super::*;
use crate::code::Probe;
use crate::engine::{Engine, Gallery, Identification, IdentifyOptions};
use crate::partition::{NewTemplate, Store};
use crate::search::Pool;
use crate::turns::{Account, Place};
use crate::types::{Bcid, Embedding, EncoderId, Timestamp};

const DIMENSION: usize = 16;
/// The galleries of these tests.
const SMALL: Extent = Extent {
    rows: 20,
    dimension: DIMENSION,
};
const ALL: IdentifyOptions = IdentifyOptions {
    limit: 1000,
    threshold: None,
};
const NO_LIMITS: SchedulerLimits = SchedulerLimits {
    answer_within: Duration::from_secs(1000),
    questions_max: 1000,
};

fn encoder() -> EncoderId {
    EncoderId::new("test", "1", DIMENSION).unwrap()
}

fn embedding(rng: &mut StdRng) -> Embedding {
    let values: Vec<f32> = (0..DIMENSION)
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    Embedding::new(values).unwrap()
}

fn enroll(engine: &Engine, bcid: &str, embedding: &Embedding) {
    let template = NewTemplate {
        embedding: embedding.clone(),
        quality: 1.0,
        portrait: None,
    };
    let bcid: Bcid = bcid.parse().unwrap();
    let now = Timestamp::from_unix_seconds(1);
    engine.enroll(&bcid, &encoder(), &[template], now).unwrap();
}

fn gallery(engine: &Engine, id: &str) -> Gallery {
    let gallery = engine.gallery(&id.parse().unwrap(), &encoder());
    gallery.unwrap().unwrap()
}

/// An engine with galleries `bws.1` to `bws.3` of some people each.
fn engine(rng: &mut StdRng) -> (tempfile::TempDir, Engine) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let engine = Engine::new(Arc::new(store), Pool::Here);
    for number in 0..60 {
        enroll(
            &engine,
            &format!("bws.{}.{number}", 1 + number % 3),
            &embedding(rng),
        );
    }
    (directory, engine)
}

fn query(rng: &mut StdRng, options: IdentifyOptions) -> QuestionQuery {
    QuestionQuery {
        probe: Probe::new(&embedding(rng)),
        options,
    }
}

fn question(account: &str, gallery: &Gallery, queries: Vec<QuestionQuery>) -> Question {
    Question {
        account: Account::new(account),
        gallery: gallery.clone(),
        queries,
        not_after: None,
    }
}

type Told = Receiver<Result<Vec<Identification>, Unanswered>>;

fn told() -> (Answered, Told) {
    let (sender, told) = mpsc::channel();
    (Box::new(move |answer| drop(sender.send(answer))), told)
}

/// Has the thread of the scheduler told an answer, until the sender is dropped: whatever is asked
/// meanwhile waits for certain.
fn hold(scheduler: &Scheduler, gallery: &Gallery, rng: &mut StdRng) -> (mpsc::Sender<()>, Asked) {
    let (release, held) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let told: Answered = Box::new(move |_| {
        let _ = begun.send(());
        let _ = held.recv();
    });
    let asked = question("a", gallery, vec![query(rng, ALL)]);
    let asked = scheduler.ask(asked, told).unwrap();
    has_begun.recv().unwrap();
    (release, asked)
}

mod queue {
    use super::*;

    fn asked(gallery: &Gallery, probes: usize) -> Question {
        let mut rng = StdRng::seed_from_u64(1);
        let queries = (0..probes).map(|_| query(&mut rng, ALL)).collect();
        question("a", gallery, queries)
    }

    fn by(account: &str, gallery: &Gallery, probes: usize) -> Question {
        Question {
            account: Account::new(account),
            ..asked(gallery, probes)
        }
    }

    fn answered_together(queue: &mut Queue<usize>, now: Instant) -> Vec<usize> {
        let pass = queue.take_pass(now);
        let mut tags: Vec<usize> = pass.map_or(Vec::new(), |pass| {
            pass.entries.iter().map(|entry| entry.answered).collect()
        });
        tags.sort_unstable();
        tags
    }

    #[test]
    fn a_pass_is_of_one_gallery_and_of_all_who_ask_about_it() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let (first, second) = (gallery(&engine, "bws.1"), gallery(&engine, "bws.2"));
        let (mut queue, now) = (Queue::new(NO_LIMITS), Instant::now());
        for (tag, of) in [&first, &second, &first, &second, &first]
            .into_iter()
            .enumerate()
        {
            let account = if tag < 2 { "a" } else { "b" };
            let pushed = queue.push(by(account, of, 1), tag, now);
            assert!(pushed.is_ok());
        }
        assert_eq!(answered_together(&mut queue, now), [0, 2, 4]);
        assert_eq!(answered_together(&mut queue, now), [1, 3]);
        assert!(queue.take_pass(now).is_none() && !queue.is_ready());
    }

    #[test]
    fn a_pass_has_so_many_probes_at_most_and_more_where_that_is_quick() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let gallery = gallery(&engine, "bws.1");
        let (mut queue, now) = (Queue::new(NO_LIMITS), Instant::now());
        let fill = |queue: &mut Queue<usize>| {
            for tag in 0..10 {
                assert!(queue.push(asked(&gallery, 30), tag, now).is_ok());
            }
        };
        fill(&mut queue);
        assert_eq!(answered_together(&mut queue, now).len(), 2);
        // One that is larger by itself is not left waiting for ever.
        queue.take_all();
        assert!(queue.push(asked(&gallery, 300), 7, now).is_ok());
        assert_eq!(answered_together(&mut queue, now), [7]);
        queue.learn(SMALL, 128, Duration::from_millis(190));
        fill(&mut queue);
        assert_eq!(
            answered_together(&mut queue, now).len(),
            4,
            "128 probes take 200 ms at most"
        );
        queue.take_all();
        for _ in 0..40 {
            queue.learn(SMALL, 64, Duration::from_secs(1));
            queue.learn(SMALL, 128, Duration::from_secs(2));
        }
        fill(&mut queue);
        assert_eq!(answered_together(&mut queue, now).len(), 2);
    }

    #[test]
    fn a_thousand_probes_of_one_do_not_keep_the_only_one_of_another_waiting() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let (busy, other) = (gallery(&engine, "bws.1"), gallery(&engine, "bws.2"));
        let (mut queue, now) = (Queue::new(NO_LIMITS), Instant::now());
        for tag in 0..20 {
            assert!(queue.push(by("many", &busy, 64), tag, now).is_ok());
        }
        assert_eq!(answered_together(&mut queue, now), [0]);
        assert!(queue.push(by("same gallery", &busy, 1), 100, now).is_ok());
        assert!(queue.push(by("other gallery", &other, 1), 101, now).is_ok());
        let next: Vec<usize> = (0..2)
            .flat_map(|_| answered_together(&mut queue, now))
            .collect();
        assert_eq!(next, [100, 101]);
    }

    #[test]
    fn what_would_be_answered_too_late_is_refused_and_the_only_one_never() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let gallery = gallery(&engine, "bws.1");
        let limits = SchedulerLimits {
            answer_within: Duration::from_millis(250),
            questions_max: 1000,
        };
        let (mut queue, now) = (Queue::new(limits), Instant::now());
        queue.learn(SMALL, 1, Duration::from_millis(100));
        queue.learn(SMALL, 64, Duration::from_millis(100));
        queue.learn(SMALL, 128, Duration::from_secs(10));
        assert!(
            queue.push(asked(&gallery, 640), 0, now).is_ok(),
            "nothing else waits"
        );
        let refusal = queue.push(asked(&gallery, 1), 1, now).err();
        let Some(Refusal::Busy { again_after }) = refusal else {
            panic!("ten passes wait and one more was let in");
        };
        assert!(again_after > Duration::from_millis(500), "{again_after:?}");
        // A pass that runs counts as well.
        queue.take_all();
        assert!(queue.push(asked(&gallery, 64), 0, now).is_ok());
        assert!(queue.take_pass(now).is_some());
        assert!(queue.push(asked(&gallery, 64), 1, now).is_ok());
        assert!(queue.push(asked(&gallery, 64), 2, now).is_err());
        let later = now + Duration::from_millis(90);
        assert!(queue.push(asked(&gallery, 64), 2, later).is_ok());
    }

    #[test]
    fn fewer_are_let_in_when_answers_come_later_than_passes_take_and_more_when_no_longer() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let gallery = gallery(&engine, "bws.1");
        let limits = SchedulerLimits {
            answer_within: Duration::from_millis(1000),
            questions_max: 1000,
        };
        let (mut queue, now) = (Queue::new(limits), Instant::now());
        queue.learn(SMALL, 64, Duration::from_millis(100));
        queue.learn(SMALL, 128, Duration::from_secs(10));
        let let_in = |queue: &mut Queue<usize>| {
            let pushed = |_: &usize| queue.push(asked(&gallery, 64), 0, now).is_ok();
            let count = (0..100).take_while(pushed).count();
            queue.take_all();
            count
        };
        assert_eq!(let_in(&mut queue), 10);
        let expected = Duration::from_millis(500);
        for _ in 0..1000 {
            queue.learn_lateness(expected, 2 * expected);
        }
        assert_eq!(let_in(&mut queue), 5);
        // Of what is soon answered, most is the end of the pass that runs.
        for _ in 0..1000 {
            queue.learn_lateness(Duration::from_millis(10), Duration::from_millis(10));
        }
        assert_eq!(let_in(&mut queue), 5);
        // One that was held up for an hour is not taken for what all will wait.
        queue.learn_lateness(expected, Duration::from_secs(3600));
        assert_eq!(let_in(&mut queue), 4);
        for _ in 0..5000 {
            queue.learn_lateness(expected, expected / 2);
        }
        assert_eq!(let_in(&mut queue), 10);
    }

    #[test]
    fn questions_about_one_gallery_are_counted_together_in_whatever_order_they_came() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let (first, second) = (gallery(&engine, "bws.1"), gallery(&engine, "bws.2"));
        let (mut queue, now) = (Queue::new(NO_LIMITS), Instant::now());
        queue.learn(SMALL, 64, Duration::from_millis(100));
        for (tag, of) in [&first, &second, &first, &second].into_iter().enumerate() {
            assert!(queue.push(asked(of, 32), tag, now).is_ok());
        }
        // Two passes for 64 probes each answer all four.
        let waiting = queue.take_all();
        let (_, expected) = waiting.iter().map(Entry::expectation).max().unwrap();
        let milliseconds = expected.as_secs_f64() * 1e3;
        assert!((milliseconds - 200.0).abs() < 1.0, "{milliseconds}");
    }

    #[test]
    fn who_has_more_than_a_share_makes_room_for_who_has_less() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let gallery = gallery(&engine, "bws.1");
        let limits = SchedulerLimits {
            questions_max: 10,
            ..NO_LIMITS
        };
        let (mut queue, now) = (Queue::new(limits), Instant::now());
        for tag in 0..10 {
            assert!(queue.push(by("many", &gallery, 1), tag, now).is_ok());
        }
        let mut displaced = Vec::new();
        for tag in 100..105 {
            let pushed = queue.push(by("few", &gallery, 1), tag, now);
            let (entry, refusal) = pushed.unwrap().displaced.remove(0);
            assert!(matches!(refusal, Refusal::AboveShare { .. }));
            displaced.push(entry.answered);
        }
        assert_eq!(displaced, [9, 8, 7, 6, 5], "the newest go first");
        // Now both have as much as the other.
        for account in ["few", "many"] {
            let refusal = queue.push(by(account, &gallery, 1), 200, now).err();
            assert!(
                matches!(refusal, Some(Refusal::AboveShare { .. })),
                "{account}"
            );
            assert!(
                queue
                    .check(&Account::new(account), &gallery, 1, now)
                    .is_err()
            );
        }
        assert!(queue.check(&Account::new("new"), &gallery, 1, now).is_ok());
        let promised = queue.promise(&Account::new("many"), &gallery, 1, now);
        assert!(promised.is_err());
    }

    #[test]
    fn a_flood_of_small_questions_leaves_room_for_many_small_apps_and_for_a_large_question() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let gallery = gallery(&engine, "bws.1");
        let limits = SchedulerLimits {
            questions_max: 60,
            ..NO_LIMITS
        };
        let (mut queue, now) = (Queue::new(limits), Instant::now());
        let flood = |queue: &mut Queue<usize>| {
            let pushed = |tag: &usize| queue.push(by("flood", &gallery, 1), *tag, now).is_ok();
            (0..100).take_while(pushed).count()
        };
        assert_eq!(flood(&mut queue), 60, "alone it has all of it");
        let again = queue.push(by("flood", &gallery, 1), 100, now).err();
        assert!(
            matches!(again, Some(Refusal::Busy { .. })),
            "nobody else waits"
        );
        // As much as all of the flood together, but one question.
        let asked = by("large", &gallery, 60);
        assert!(queue.check(&asked.account, &gallery, 60, now).is_ok());
        assert_eq!(queue.push(asked, 200, now).unwrap().displaced.len(), 1);
        for app in 0..29 {
            let asked = by(&format!("small {app}"), &gallery, 1);
            assert!(
                queue.check(&asked.account, &gallery, 1, now).is_ok(),
                "{app}"
            );
            let displaced = queue.push(asked, 300 + app, now).unwrap().displaced;
            let (entry, refusal) = &displaced[0];
            assert!(entry.answered < 100, "{} gave way", entry.answered);
            assert!(matches!(refusal, Refusal::AboveShare { .. }));
        }
        assert_eq!(flood(&mut queue), 0, "it still has half of all");
        let refusal = queue.push(by("flood", &gallery, 1), 100, now).err();
        assert!(matches!(refusal, Some(Refusal::AboveShare { .. })));
    }

    #[test]
    fn who_asks_one_thing_is_not_refused_for_what_others_will_wait_for() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let (busy, other) = (gallery(&engine, "bws.1"), gallery(&engine, "bws.2"));
        let limits = SchedulerLimits {
            answer_within: Duration::from_millis(700),
            questions_max: 1000,
        };
        let (mut queue, now) = (Queue::new(limits), Instant::now());
        // A long call has a piece that runs, and others that wait and were promised an answer.
        for tag in 0..3 {
            let asked = by("many", &busy, 64);
            let promised = queue.promise(&asked.account, &busy, 64, now).unwrap();
            queue.keep_promise(&promised.place, asked, tag, now);
        }
        queue.learn(SMALL, 1, Duration::from_millis(60));
        queue.learn(SMALL, 64, Duration::from_millis(900));
        assert_eq!(answered_together(&mut queue, now), [0]);
        let later = now + Duration::from_millis(500);
        for (tag, of) in [(10, &busy), (11, &other)] {
            let account = format!("new {tag}");
            assert!(queue.check(&Account::new(&account), of, 1, later).is_ok());
            assert!(queue.push(by(&account, of, 1), tag, later).is_ok());
        }
        // A refusal for want of time blames nobody who has nothing waiting.
        let refusal = queue.push(by("newest", &other, 640), 12, now).err();
        assert!(matches!(refusal, Some(Refusal::Busy { .. })));
    }

    #[test]
    fn what_is_promised_waits_for_its_question_and_gives_way_to_nobody() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let gallery = gallery(&engine, "bws.1");
        let limits = SchedulerLimits {
            questions_max: 3,
            ..NO_LIMITS
        };
        let (mut queue, now) = (Queue::new(limits), Instant::now());
        let many = Account::new("many");
        let promises: Vec<Place> = (0..2)
            .map(|_| queue.promise(&many, &gallery, 1, now).unwrap().place)
            .collect();
        assert!(!queue.is_ready() && queue.take_pass(now).is_none());
        // Nobody waits for what may never come.
        assert!(queue.push(by("few", &gallery, 1), 7, now).is_ok());
        assert!(queue.push(by("few", &gallery, 1), 8, now).is_err());
        assert_eq!(answered_together(&mut queue, now), [7]);
        queue.keep_promise(&promises[1], by("many", &gallery, 2), 1, now);
        assert_eq!(queue.probes(), 2);
        assert_eq!(answered_together(&mut queue, now), [1]);
        assert!(queue.withdraw(&promises[0]).is_none(), "it had no question");
        queue.fail();
        assert!(queue.promise(&many, &gallery, 1, now).is_ok());
    }

    #[test]
    fn nobody_gives_anything_up_for_one_who_is_refused_all_the_same() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let gallery = gallery(&engine, "bws.1");
        let limits = SchedulerLimits {
            answer_within: Duration::from_millis(100),
            questions_max: 1000,
        };
        let (mut queue, now) = (Queue::new(limits), Instant::now());
        for tag in 0..5 {
            assert!(queue.push(by("many", &gallery, 10), tag, now).is_ok());
        }
        queue.learn(SMALL, 1, Duration::from_secs(1));
        let refusal = queue.push(by("newcomer", &gallery, 30), 9, now).err();
        assert!(matches!(refusal, Some(Refusal::Busy { .. })));
        assert_eq!(answered_together(&mut queue, now), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn who_waited_longer_than_is_of_use_is_told_so() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let gallery = gallery(&engine, "bws.1");
        let (mut queue, now) = (Queue::new(NO_LIMITS), Instant::now());
        let second = Duration::from_secs(1);
        for (tag, end) in [Some(now + second), None, Some(now + 3 * second)]
            .into_iter()
            .enumerate()
        {
            let asked = Question {
                not_after: end,
                ..asked(&gallery, 1)
            };
            assert!(queue.push(asked, tag, now).is_ok());
        }
        assert!(queue.take_late(now).is_empty());
        let late: Vec<usize> = queue
            .take_late(now + second)
            .iter()
            .map(|entry| entry.answered)
            .collect();
        assert_eq!(late, [0]);
        assert_eq!(answered_together(&mut queue, now + second), [1, 2]);
    }

    #[test]
    fn the_next_pass_is_of_those_who_wait_and_of_those_who_come_back() {
        let (_directory, engine) = engine(&mut StdRng::seed_from_u64(1));
        let gallery = gallery(&engine, "bws.1");
        let (mut queue, now) = (Queue::new(NO_LIMITS), Instant::now());
        assert_eq!(queue.probes_of_next_pass(SMALL, 30), 30);
        assert!(queue.push(asked(&gallery, 20), 0, now).is_ok());
        assert_eq!(queue.probes_of_next_pass(SMALL, 30), 50);
        assert_eq!(queue.probes_of_next_pass(SMALL, 60), 64);
        assert_eq!(queue.probes_of_next_pass(SMALL, usize::MAX), 64);
    }
}

#[test]
fn a_question_that_is_withdrawn_is_not_answered() {
    let mut rng = StdRng::seed_from_u64(1);
    let (_directory, engine) = engine(&mut rng);
    let gallery = gallery(&engine, "bws.1");
    let scheduler = Scheduler::start(NO_LIMITS, Instant::now);
    let (release, first) = hold(&scheduler, &gallery, &mut rng);
    let (answered, left) = told();
    let asked = scheduler.ask(
        question("a", &gallery, vec![query(&mut rng, ALL)]),
        answered,
    );
    drop(asked.unwrap());
    assert!(left.recv().is_err(), "its way to be told is gone with it");
    let (answered, stays) = told();
    let asked = scheduler.ask(
        question("a", &gallery, vec![query(&mut rng, ALL)]),
        answered,
    );
    drop(release);
    assert!(stays.recv().unwrap().is_ok());
    drop((first, asked));
}

#[test]
fn whoever_waits_when_it_ends_learns_that_nobody_will_answer() {
    let mut rng = StdRng::seed_from_u64(1);
    let (_directory, engine) = engine(&mut rng);
    let gallery = gallery(&engine, "bws.1");
    let scheduler = Scheduler::start(NO_LIMITS, Instant::now);
    let (release, first) = hold(&scheduler, &gallery, &mut rng);
    let (answered, waits) = told();
    let asked = scheduler
        .ask(
            question("a", &gallery, vec![query(&mut rng, ALL)]),
            answered,
        )
        .unwrap();
    scheduler.end();
    drop(release);
    assert!(waits.recv().is_err());
    drop((first, asked, scheduler));
}

#[test]
fn what_was_promised_is_answered_when_it_is_asked() {
    let mut rng = StdRng::seed_from_u64(1);
    let (_directory, engine) = engine(&mut rng);
    let gallery = gallery(&engine, "bws.1");
    let limits = SchedulerLimits {
        questions_max: 1,
        ..NO_LIMITS
    };
    let scheduler = Scheduler::start(limits, Instant::now);
    let account = Account::new("a");
    let (release, first) = hold(&scheduler, &gallery, &mut rng);
    let promise = scheduler.promise(&account, &gallery, 1).unwrap();
    let other = question("b", &gallery, vec![query(&mut rng, ALL)]);
    let refused = scheduler.ask(other, Box::new(|_| {}));
    // The thread is done with its pass, and only tells of it.
    drop(refused);
    let (answered, told) = told();
    let asked = promise.ask(vec![query(&mut rng, ALL)], answered);
    drop(release);
    assert_eq!(told.recv().unwrap().unwrap().len(), 1);
    drop((first, asked));
}

#[test]
fn one_that_cannot_be_answered_spoils_no_other() {
    let mut rng = StdRng::seed_from_u64(1);
    let (_directory, engine) = engine(&mut rng);
    let gallery = gallery(&engine, "bws.1");
    let short = Embedding::new(vec![1.0; DIMENSION + 1]).unwrap();
    let wrong = QuestionQuery {
        probe: Probe::new(&short),
        options: ALL,
    };
    let questions = [
        question("a", &gallery, vec![query(&mut rng, ALL)]),
        question("b", &gallery, vec![wrong]),
        question(
            "c",
            &gallery,
            vec![query(&mut rng, ALL), query(&mut rng, ALL)],
        ),
    ];
    let answers = pass::answer(&gallery, &questions.iter().collect::<Vec<_>>()).unwrap();
    let lengths: Vec<Option<usize>> = answers
        .iter()
        .map(|answer| answer.as_ref().ok().map(Vec::len))
        .collect();
    assert_eq!(lengths, [Some(1), None, Some(2)]);
}

#[derive(Clone, Debug)]
enum Step {
    Ask {
        gallery: usize,
        options: Vec<IdentifyOptions>,
        leaves: bool,
    },
    Enroll {
        gallery: usize,
        class: i64,
    },
    Remove {
        gallery: usize,
        class: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let threshold = prop_oneof![Just(None), (-1.0..1.0).prop_map(Some)];
    let options = (1_usize..30, threshold)
        .prop_map(|(limit, threshold)| IdentifyOptions { limit, threshold });
    let options = proptest::collection::vec(options, 1..4);
    let asked = (0_usize..3, options, proptest::bool::weighted(0.2));
    prop_oneof![
        6 => asked.prop_map(|(gallery, options, leaves)| Step::Ask { gallery, options, leaves }),
        1 => (0_usize..3, 0_i64..80).prop_map(|(gallery, class)| Step::Enroll { gallery, class }),
        1 => (0_usize..3, 0_i64..80).prop_map(|(gallery, class)| Step::Remove { gallery, class }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever else is asked, changed or withdrawn meanwhile, an answer is that of a search alone at
    /// some moment between question and answer.
    #[test]
    fn answers_are_those_of_single_searches(
        seed in 0_u64..1000,
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let (_directory, engine) = engine(&mut rng);
        let galleries = ["bws.1", "bws.2", "bws.3"].map(|id| gallery(&engine, id));
        let scheduler = Scheduler::start(NO_LIMITS, Instant::now);
        let mut open = Vec::new();
        let settle = |open: &mut Vec<(Told, Vec<Vec<Identification>>, Asked)>| {
            for (told, expected, _asked) in open.drain(..) {
                let found = told.recv().unwrap().unwrap();
                let same = |one: &Vec<Identification>| {
                    one.iter().zip(&found).all(|(one, found)| one.matches == found.matches)
                };
                prop_assert!(expected.iter().any(same));
            }
            Ok(())
        };
        // What a search alone says now, for each question that is open.
        let mut asked: Vec<(usize, Vec<QuestionQuery>)> = Vec::new();
        let alone = |gallery: &Gallery, queries: &[QuestionQuery]| -> Vec<Identification> {
            let one = |query: &QuestionQuery| {
                gallery.identify_many(&[query.options.query(&query.probe)]).unwrap().remove(0)
            };
            queries.iter().map(one).collect()
        };
        for step in steps {
            match step {
                Step::Ask { gallery, options, leaves } => {
                    let queries: Vec<QuestionQuery> =
                        options.into_iter().map(|options| query(&mut rng, options)).collect();
                    let (answered, told) = told();
                    let expected = vec![alone(&galleries[gallery], &queries)];
                    let account = ["x", "y"][rng.random_range(0..2)];
                    let one = question(account, &galleries[gallery], queries.clone());
                    let place = scheduler.ask(one, answered).unwrap();
                    if leaves {
                        drop(place);
                    } else {
                        open.push((told, expected, place));
                        asked.push((gallery, queries));
                    }
                }
                Step::Enroll { gallery, class } => {
                    let bcid = format!("bws.{}.{class}", gallery + 1);
                    enroll(&engine, &bcid, &embedding(&mut rng));
                }
                Step::Remove { gallery, class } => {
                    galleries[gallery].remove(crate::types::ClassId(class)).unwrap();
                }
            }
            for ((_, expected, _), (gallery, queries)) in open.iter_mut().zip(&asked) {
                expected.push(alone(&galleries[*gallery], queries));
            }
            if open.len() > 12 {
                settle(&mut open)?;
                asked.clear();
            }
        }
        settle(&mut open)?;
    }
}
