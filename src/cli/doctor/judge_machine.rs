//! What to think of the machine: clock, processor, memory, descriptors.

use super::facts::{ClockFacts, DescriptorFacts, ProcessorFacts};
use super::finding::Finding;
use crate::cli::machine::{Memory, bytes_text};
use crate::kernel::Isa;
use crate::types::Timestamp;

/// This version was not made before: 1 November 2026.
pub(super) const MADE_AFTER_UNIX_SECONDS: i64 = 1_793_491_200;
/// No version is used for longer.
const YEARS_MAX: i64 = 30;
/// Clocks of machines that share a disk differ by less.
const AHEAD_SECONDS_MAX: i64 = 60;
/// A clock that is corrected slowly is not moved as far within seconds.
const JUMP_SECONDS_MAX: f64 = 0.5;

/// What the program takes by itself: the networks, the code, and buffers of connections.
pub(in crate::cli) const OWN_BYTES: u64 = 250_000_000;
/// Fewer descriptors are too few for more than a handful of clients.
const DESCRIPTORS_MIN: u64 = 256;
/// Fewer are a slip of whoever set the limit.
const DESCRIPTORS_USUAL: u64 = 4_096;
/// What the program keeps for itself, as `web::connections` does.
const OWN_DESCRIPTORS_MAX: u64 = 512;

pub(super) fn clock(facts: &ClockFacts) -> Finding {
    const CHECK: &str = "clock";
    const ADVICE: &str = "set the clock and keep it with NTP (`timedatectl set-ntp true`); tokens, keys \
        and enrolments go by it";
    let made = Timestamp::from_unix_seconds(MADE_AFTER_UNIX_SECONDS);
    let now = facts.now;
    let too_late = made.unix_seconds() + YEARS_MAX * 365 * 86_400;
    if now < made {
        let found = format!("says {now}, which is before this version was made");
        return Finding::wrong(CHECK, found, ADVICE);
    }
    if now.unix_seconds() > too_late {
        let found =
            format!("says {now}, which is more than {YEARS_MAX} years after this version was made");
        return Finding::wrong(CHECK, found, ADVICE);
    }
    if let Some((path, newest)) = &facts.newest
        && newest.unix_seconds() > now.unix_seconds() + AHEAD_SECONDS_MAX
    {
        let found = format!(
            "says {now}, and `{}` is of {newest}, which is later",
            path.display()
        );
        return Finding::wrong(CHECK, found, ADVICE);
    }
    if facts.jumped_seconds.abs() > JUMP_SECONDS_MAX {
        let found = format!(
            "was moved by {:+.1} s while it was watched",
            facts.jumped_seconds
        );
        let advice =
            "let NTP slow it or speed it up instead of setting it; tokens may end early or late";
        return Finding::warning(CHECK, found, advice);
    }
    Finding::ok(CHECK, format!("{now}; nothing on disk is later"))
}

pub(super) fn kernel(facts: &ProcessorFacts) -> Finding {
    const CHECK: &str = "processor";
    let ProcessorFacts {
        name, isa, fastest, ..
    } = facts;
    let has_less = facts.is_x86 && rank(*fastest) < rank(ISA_USUAL);
    let found = format!("{name}, scans with `{isa}`");
    if isa != fastest {
        return Finding::warning(
            CHECK,
            format!("{found}, though it has `{fastest}`, which is faster"),
            "leave the setting `isa` out",
        );
    }
    if has_less {
        return Finding::warning(
            CHECK,
            format!("{found}: it has no AVX2, or the virtual machine hides it"),
            "let the virtual machine pass the processor through (`host`), or expect searches that take \
             several times as long",
        );
    }
    let lacks: Vec<String> = Isa::ALL
        .into_iter()
        .filter(|other| facts.is_x86 && rank(*other) > rank(*fastest))
        .map(|other| format!("`{other}`"))
        .collect();
    match lacks.is_empty() {
        true => Finding::ok(CHECK, format!("{found}, the fastest that there is")),
        false => Finding::ok(
            CHECK,
            format!(
                "{found}, the fastest that it has; faster ones have {}",
                lacks.join(" or ")
            ),
        ),
    }
}

/// Whatever is sold has it.
const ISA_USUAL: Isa = Isa::Avx2;

/// The faster, the more.
fn rank(isa: Isa) -> usize {
    Isa::ALL.iter().take_while(|other| **other != isa).count()
}

pub(super) fn threads(facts: &ProcessorFacts) -> Finding {
    const CHECK: &str = "threads";
    let ProcessorFacts {
        threads,
        workers,
        processors,
        limit,
        ..
    } = *facts;
    let has = match limit {
        Some(limit) if limit < processors as f64 => limit,
        _ => processors as f64,
    };
    let whole = (has.ceil() as usize).max(1);
    let text = match limit {
        Some(limit) => {
            format!("{processors} processors, {limit:.1} of them allowed to this container")
        }
        None => format!("{processors} processors"),
    };
    let found = format!("`threads` {threads} and `workers` {workers} for {text}");
    if threads > whole || workers > whole {
        return Finding::warning(
            CHECK,
            found,
            format!(
                "set both to {whole} or leave them out, or allow more; more threads only wait for \
                     each other"
            ),
        );
    }
    if has < 1.0 {
        let advice =
            "allow at least 1: the container is stopped for a part of every tenth of a second";
        return Finding::warning(CHECK, found, advice);
    }
    Finding::ok(CHECK, found)
}

pub(super) fn descriptors(facts: &DescriptorFacts) -> Finding {
    const CHECK: &str = "descriptors";
    let text = |limit: Option<u64>| limit.map_or("no limit".to_owned(), |it| it.to_string());
    let found = format!("{} now, at most {}", text(facts.soft), text(facts.hard));
    let hard = facts.hard.unwrap_or(u64::MAX);
    let fit = hard.saturating_sub((hard / 4).min(OWN_DESCRIPTORS_MAX));
    let raise = "raise the hard limit (`LimitNOFILE=65536` of systemd, `--ulimit nofile=65536` of a \
        container)";
    match facts.connections_max {
        _ if hard < DESCRIPTORS_MIN => Finding::wrong(CHECK, found, raise),
        Some(wanted) if wanted as u64 > fit => Finding::warning(
            CHECK,
            format!(
                "{found}, which leaves room for {fit} connections, not for the {wanted} of `connections-max`"
            ),
            raise,
        ),
        None if hard < DESCRIPTORS_USUAL => {
            Finding::warning(CHECK, format!("{found}, for {fit} connections"), raise)
        }
        _ => Finding::ok(CHECK, format!("{found}; the service raises it by itself")),
    }
}

/// `scanned_bytes` is what searches read of all galleries.
pub(super) fn memory(
    memory: Option<&Memory>,
    picture_bytes_max: u64,
    scanned_bytes: u64,
) -> Finding {
    const CHECK: &str = "memory";
    let Some(memory) = memory else {
        return Finding::skipped(CHECK, "this system does not say how much there is");
    };
    let available = memory.available_bytes;
    let limit = memory
        .limit_bytes
        .map(|limit| format!(" of the {} of this container", bytes_text(limit)));
    let found = format!(
        "{} available{}; the program takes {}, pictures up to {}, and searches read {}",
        bytes_text(available),
        limit.unwrap_or_default(),
        bytes_text(OWN_BYTES),
        bytes_text(picture_bytes_max),
        bytes_text(scanned_bytes),
    );
    let with_pictures = OWN_BYTES.saturating_add(picture_bytes_max);
    if available < OWN_BYTES {
        Finding::wrong(
            CHECK,
            found,
            "give it more: it would be killed at the first pictures",
        )
    } else if available < with_pictures {
        let fits = (available - OWN_BYTES) / 1_000_000 * 1_000_000;
        Finding::warning(
            CHECK,
            found,
            format!(
                "set `picture-bytes-max` to at most {} or give it more, or it may be killed when many \
                 pictures come at once",
                fits.max(64 << 20)
            ),
        )
    } else if available < with_pictures.saturating_add(scanned_bytes) {
        Finding::warning(
            CHECK,
            found,
            "give it more: galleries that do not fit are read from the disk by every search",
        )
    } else {
        Finding::ok(CHECK, found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict::{Ok, Skipped, Warning, Wrong};
    use super::super::finding::expect;
    use super::*;

    const GOOD: i64 = MADE_AFTER_UNIX_SECONDS + 86_400;

    #[test]
    fn a_clock_is_plausible_and_not_before_what_is_on_disk() {
        let of = |now: i64, newest: Option<i64>, jumped_seconds: f64| {
            let newest = newest.map(|at| ("catalog.redb".into(), Timestamp::from_unix_seconds(at)));
            clock(&ClockFacts {
                now: Timestamp::from_unix_seconds(now),
                newest,
                jumped_seconds,
            })
        };
        expect(&of(GOOD, Some(GOOD), 0.0), Ok, "2026-11-02");
        expect(&of(GOOD, None, 0.4), Ok, "nothing");
        expect(&of(GOOD, Some(GOOD + 60), 0.0), Ok, "");
        expect(&of(GOOD, Some(GOOD + 61), 0.0), Wrong, "`catalog.redb`");
        expect(&of(0, None, 0.0), Wrong, "1970");
        expect(
            &of(MADE_AFTER_UNIX_SECONDS - 1, None, 0.0),
            Wrong,
            "before this version",
        );
        expect(&of(GOOD + 31 * 365 * 86_400, None, 0.0), Wrong, "30 years");
        expect(&of(GOOD, None, -0.6), Warning, "-0.6 s");
        expect(&of(GOOD, None, 3600.0), Warning, "+3600.0 s");
    }

    fn processor() -> ProcessorFacts {
        ProcessorFacts {
            name: "X".to_owned(),
            isa: Isa::Avx512,
            fastest: Isa::Avx512,
            is_x86: true,
            threads: 4,
            workers: 4,
            processors: 4,
            limit: None,
        }
    }

    #[test]
    fn a_slower_instruction_set_than_there_is_is_told() {
        let of = |isa, fastest, is_x86| {
            kernel(&ProcessorFacts {
                isa,
                fastest,
                is_x86,
                ..processor()
            })
        };
        expect(
            &of(Isa::Amx, Isa::Amx, true),
            Ok,
            "the fastest that there is",
        );
        expect(&of(Isa::Avx512, Isa::Avx512, true), Ok, "`amx`");
        expect(
            &of(Isa::Avx2, Isa::Avx2, true),
            Ok,
            "`avxvnni` or `avx512` or `amx`",
        );
        expect(
            &of(Isa::Avx2, Isa::Avx512, true),
            Warning,
            "leave the setting `isa` out",
        );
        expect(&of(Isa::Simsimd, Isa::Simsimd, true), Warning, "no AVX2");
        expect(&of(Isa::Simsimd, Isa::Simsimd, false), Ok, "`simsimd`");
    }

    #[test]
    fn more_threads_than_processors_are_told() {
        let of = |count, workers, limit| {
            threads(&ProcessorFacts {
                threads: count,
                workers,
                limit,
                ..processor()
            })
        };
        expect(&of(4, 4, None), Ok, "4 processors");
        expect(&of(5, 4, None), Warning, "set both to 4");
        expect(&of(1, 9, None), Warning, "set both to 4");
        expect(&of(4, 4, Some(1.5)), Warning, "set both to 2");
        expect(&of(2, 2, Some(1.5)), Ok, "1.5");
        expect(&of(4, 4, Some(8.0)), Ok, "");
        expect(&of(1, 1, Some(0.5)), Warning, "allow at least 1");
    }

    #[test]
    fn descriptors_are_counted_against_connections() {
        let of = |hard, connections_max| {
            descriptors(&DescriptorFacts {
                soft: Some(1024),
                hard,
                connections_max,
            })
        };
        expect(&of(Some(65_536), None), Ok, "65536");
        expect(&of(None, Some(1_000_000)), Ok, "no limit");
        expect(&of(Some(1_024), None), Warning, "768 connections");
        expect(&of(Some(1_024), Some(768)), Ok, "");
        expect(&of(Some(1_024), Some(769)), Warning, "769");
        expect(&of(Some(100), Some(16)), Wrong, "LimitNOFILE");
    }

    #[test]
    fn memory_is_enough_for_the_program_then_pictures_then_galleries() {
        let of = |available_bytes, limit_bytes| {
            let facts = Memory {
                available_bytes,
                total_bytes: 1 << 40,
                limit_bytes,
            };
            memory(Some(&facts), 2_000_000_000, 1_000_000_000)
        };
        expect(&of(OWN_BYTES - 1, None), Wrong, "killed");
        expect(&of(OWN_BYTES, None), Warning, "at most 67108864");
        expect(
            &of(1_250_000_000, Some(1_500_000_000)),
            Warning,
            "at most 1000000000",
        );
        expect(&of(3_249_999_999, None), Warning, "read from the disk");
        expect(
            &of(3_250_000_000, Some(4_000_000_000)),
            Ok,
            "of the 4.0 GB of this container",
        );
        expect(&memory(None, 0, 0), Skipped, "does not say");
    }
}
