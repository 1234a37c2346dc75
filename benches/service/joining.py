#!/usr/bin/env python3
"""What it would save if a question joined the pass that runs, calculated from how long passes take.

    benches/service/joining.py 1:9.0,8:21.3,64:60.4,512:391.4 [--pieces 8] [--piece-ms 0.3]

The argument says how long a pass takes for so many probes, in ms, as `vultus bench --probes 1,8,64,512`
measures it. Compared are passes as the service makes them (questions gather while one runs, and,
where those who were answered ask again at once, for at most 20 % of it afterwards, 2 ms after the
last one and 0.1 more for each who is still out) with passes in pieces, at whose beginnings questions
join and whose end they leave after one whole turn; between pieces all threads meet and the probes
are put together anew, which takes `--piece-ms`. Answers of a pass are made in 0.1 ms each. Clients
ask again 1.5 ms after an answer on average, or questions come at random at a share of the 64-probe
rate. Needs nothing but Python.
"""

import argparse
import heapq
import random
import statistics

PROBES_MAX = 512
GATHER_SHARE, QUIET_MS, QUIET_MS_FOR_EACH = 0.2, 2.0, 0.1
THINK_MS, THINK_RANDOM_MS = 1.0, 0.5
# Answers are made one after the other.
ANSWER_MS = 0.1
SECONDS = 60


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("passes", help="PROBES:MILLISECONDS, separated by commas")
    parser.add_argument("--pieces", type=int, default=8)
    parser.add_argument("--piece-ms", type=float, default=0.3)
    options = parser.parse_args()
    known = dict(map(float, one.split(":")) for one in options.passes.split(","))

    def taken(probes):
        return interpolated(known, probes)

    rate = 64 / taken(64)
    cases = [(f"{clients} clients", {"clients": clients}) for clients in (1, 8, 64, 300)]
    cases += [(f"{share:.0%} of {1e3 * rate:.0f} a second", {"per_ms": share * rate})
              for share in (0.3, 0.5, 0.7, 0.85)]
    for name, arrivals in cases:
        shared = Times(passes(taken, Arrivals(**arrivals)))
        joined = Times(turns(taken, Arrivals(**arrivals), options.pieces, options.piece_ms))
        print(f"{name}: as it is {shared}; joining {joined}")


def interpolated(known, probes):
    counts = sorted(known)
    if probes <= counts[0]:
        return known[counts[0]]
    for low, high in zip(counts, counts[1:]):
        if probes <= high:
            share = (probes - low) / (high - low)
            return known[low] + share * (known[high] - known[low])
    return known[counts[-1]] * probes / counts[-1]


class Times:
    """Of what was answered after the first fifth."""

    def __init__(self, times):
        times = times[len(times) // 5:]
        hundredths = statistics.quantiles(times, n=100)
        self.median, self.late = hundredths[49], hundredths[98]
        self.per_second = len(times) / 0.8 / SECONDS

    def __str__(self):
        return (f"median {self.median:.1f} ms, 99 % {self.late:.1f} ms, "
                f"{self.per_second:.0f} a second")


class Arrivals:
    """Questions in the order in which they come: at random, or of clients who ask again."""

    def __init__(self, clients=0, per_ms=0.0):
        self.random = random.Random(1)
        self.asks_again = clients > 0
        self.times = [5 * self.random.random() for _ in range(clients)]
        now = 0.0
        while per_ms and now < 1e3 * SECONDS:
            now += self.random.expovariate(per_ms)
            self.times.append(now)
        heapq.heapify(self.times)

    def next(self):
        return self.times[0] if self.times else float("inf")

    def until(self, now):
        came = []
        while self.next() <= now:
            came.append(heapq.heappop(self.times))
        return came

    def answered(self, now):
        if self.asks_again:
            later = THINK_MS + self.random.expovariate(1 / THINK_RANDOM_MS)
            heapq.heappush(self.times, now + later)


def passes(taken, arrivals):
    now, waiting, before, times, returns = 0.0, [], (0, 0.0), [], Returns()
    while now < 1e3 * SECONDS:
        waiting += returns.see(arrivals.until(now))
        if before[0] > 1 and returns.share >= 0.5:
            now, came = gathered(now, len(waiting), before, arrivals)
            waiting += returns.see(came)
        if not waiting:
            now = arrivals.next()
            continue
        asked, waiting = waiting[:PROBES_MAX], waiting[PROBES_MAX:]
        before = (len(asked), taken(len(asked)))
        now += before[1]
        waiting += returns.see(arrivals.until(now))
        if before[0] > 1:
            returns.end_pass(now, *before)
        for number, since in enumerate(asked):
            times.append(now - since)
            arrivals.answered(now + ANSWER_MS * number)
    return times


class Returns:
    """How many of those who were answered lately asked again at once: `returns.rs` of the service."""

    def __init__(self):
        self.share, self.others_per_ms, self.came, self.watched = 0.0, 0.0, [], None

    def see(self, came):
        self.came += came
        return came

    def end_pass(self, now, answered, taken):
        moment = GATHER_SHARE * taken
        begin = now - taken
        if self.watched:
            begin = max(begin, self.watched[1])
        if now - begin > moment / 2:
            self.others_per_ms = sum(begin < one for one in self.came) / (now - begin)
        if self.watched:
            since, until, before = self.watched
            until = min(until, now)
            came = sum(since < one <= until for one in self.came)
            share = (came - self.others_per_ms * (until - since)) / before
            self.share += 0.5 * (min(max(share, 0.0), 1.0) - self.share)
        self.watched, self.came = (now, now + moment, answered), []


def gathered(now, waiting, before, arrivals):
    """Waits for those who were answered to come back."""
    wanted = min(PROBES_MAX, waiting + before[0])
    end, last, came = now + GATHER_SHARE * before[1], now, []
    while waiting + len(came) < wanted:
        out = wanted - waiting - len(came)
        quiet_until = min(end, last + QUIET_MS + QUIET_MS_FOR_EACH * out)
        if arrivals.next() > quiet_until:
            return quiet_until, came
        last = max(last, arrivals.next())
        came += arrivals.until(last)
    return last, came


def turns(taken, arrivals, pieces, piece_ms):
    now, waiting, turning, times = 0.0, [], [], []
    while now < 1e3 * SECONDS:
        waiting += arrivals.until(now)
        room = PROBES_MAX - len(turning)
        turning += [(since, pieces) for since in waiting[:room]]
        waiting = waiting[room:]
        if not turning:
            now = arrivals.next()
            continue
        now += taken(len(turning)) / pieces + piece_ms
        turning = [(since, left - 1) for since, left in turning]
        answered = [since for since, left in turning if left == 0]
        for number, since in enumerate(answered):
            times.append(now - since)
            arrivals.answered(now + ANSWER_MS * number)
        turning = [one for one in turning if one[1] > 0]
    return times


if __name__ == "__main__":
    main()
