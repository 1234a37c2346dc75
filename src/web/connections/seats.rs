//! The connections that there are, and for whom there is room.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::proxies::TrustedProxies;
use super::counts::ConnectionCounts;
use super::descriptors;
use super::life::{Life, Worth};
use super::options::ConnectionOptions;

/// When room is made, this part of all connections is closed, so that it is not made for each
/// newcomer anew.
const CLEARED_PART: usize = 64;

/// How often the same is said in the log.
const SAID_INTERVAL: Duration = Duration::from_secs(60);

/// All connections.
#[derive(Debug)]
pub(super) struct Seats {
    count_max: usize,
    per_address_max: usize,
    trusted_proxies: TrustedProxies,
    taken: Mutex<Taken>,
    is_stopping: AtomicBool,
    /// When something was last said in the log.
    said: Mutex<HashMap<&'static str, Instant>>,
    counts: Arc<ConnectionCounts>,
}

#[derive(Debug, Default)]
struct Taken {
    seats: HashMap<u64, Arc<Seat>>,
    /// How many connections count: those that were told to make room do not.
    count: usize,
    by_address: HashMap<IpAddr, usize>,
    number: u64,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    address: IpAddr,
    life: Mutex<Life>,
    told: Notify,
    is_unwanted: AtomicBool,
}

/// The seat of a connection, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct TakenSeat {
    seats: Arc<Seats>,
    seat: Arc<Seat>,
}

impl Seats {
    pub(super) fn new(options: &ConnectionOptions, counts: Arc<ConnectionCounts>) -> Seats {
        let fitting = descriptors::connections_that_fit();
        let asked = options.count_max.unwrap_or(ConnectionOptions::COUNT_MAX);
        if options.count_max.is_some_and(|asked| asked > fitting) {
            tracing::warn!(
                "the limit of descriptors leaves room for {fitting} connections, not for {asked}"
            );
        }
        let count_max = asked.min(fitting);
        let per_address_max = options.per_address_max.unwrap_or(count_max.div_ceil(2));
        Seats {
            count_max,
            per_address_max,
            trusted_proxies: options.trusted_proxies.clone(),
            taken: Mutex::default(),
            is_stopping: AtomicBool::new(false),
            said: Mutex::default(),
            counts,
        }
    }

    pub(super) fn counts(&self) -> &ConnectionCounts {
        &self.counts
    }

    pub(super) fn count_max(&self) -> usize {
        self.count_max
    }

    pub(super) fn per_address_max(&self) -> usize {
        self.per_address_max
    }

    /// A seat for a connection from `peer`. When all are taken, those that are idle make room;
    /// `None` if all work.
    pub(super) fn take(self: &Arc<Seats>, peer: IpAddr, now: Instant) -> Option<TakenSeat> {
        let seat = self.find(peer, now);
        match &seat {
            Some(_) => self.counts.accepted.one(),
            None => self.counts.refused.one(),
        }
        seat
    }

    fn find(self: &Arc<Seats>, peer: IpAddr, now: Instant) -> Option<TakenSeat> {
        let address = counted(peer);
        let mut taken = self.taken();
        let of_address = taken.by_address.get(&address).copied().unwrap_or_default();
        // All connections of a proxy have one address, whoever they are for.
        if !self.trusted_proxies.contains(peer)
            && !taken.make_room(of_address, self.per_address_max, Some(address), now)
        {
            return None;
        }
        let count = taken.count;
        let has_room = taken.make_room(count, self.count_max, None, now);
        has_room.then(|| TakenSeat {
            seat: taken.add(address, now),
            seats: self.clone(),
        })
    }

    /// Closes some connections that have been idle longest. Returns how many.
    pub(super) fn clear(&self) -> usize {
        self.taken().clear(1, None, Instant::now())
    }

    /// Tells all connections to end when their request is answered.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.taken().seats.values().for_each(|seat| seat.tell());
    }

    /// Warns in the log of `what` with `more` about it, of the same once a minute only: clients can
    /// cause it at will.
    pub(super) fn say_seldom(&self, what: &'static str, more: impl fmt::Display) {
        let now = Instant::now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let is_said = said
            .get(what)
            .is_some_and(|at| now.saturating_duration_since(*at) < SAID_INTERVAL);
        if !is_said {
            said.insert(what, now);
            tracing::warn!("{what}{more}");
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn add(&mut self, address: IpAddr, now: Instant) -> Arc<Seat> {
        self.number += 1;
        let seat = Arc::new(Seat {
            number: self.number,
            address,
            life: Mutex::new(Life::begin(now)),
            told: Notify::new(),
            is_unwanted: AtomicBool::new(false),
        });
        self.seats.insert(seat.number, seat.clone());
        self.count(address, true);
        seat
    }

    /// Counts a connection, or no longer.
    fn count(&mut self, address: IpAddr, is_there: bool) {
        let of_address = self.by_address.entry(address).or_default();
        if is_there {
            self.count += 1;
            *of_address += 1;
            return;
        }
        self.count -= 1;
        *of_address -= 1;
        if *of_address == 0 {
            self.by_address.remove(&address);
        }
    }

    /// Makes room for one more where there are `count` connections. Tells whether there is.
    fn make_room(
        &mut self,
        count: usize,
        count_max: usize,
        address: Option<IpAddr>,
        now: Instant,
    ) -> bool {
        let missing = (count + 1).saturating_sub(count_max);
        missing == 0 || self.clear(missing, address, now) > 0
    }

    /// Tells connections, of one address or of all, to make room: those that are worth least, so
    /// many at least, or none if there are fewer. Returns how many.
    fn clear(&mut self, least: usize, address: Option<IpAddr>, now: Instant) -> usize {
        let of_address = |seat: &&Arc<Seat>| address.is_none_or(|address| seat.address == address);
        let mut idle: Vec<(Worth, u64)> = self
            .seats
            .values()
            .filter(of_address)
            .filter(|seat| !seat.is_unwanted())
            .filter_map(|seat| Some((seat.life().worth(now)?, seat.number)))
            .collect();
        if idle.len() < least {
            return 0;
        }
        let count = idle.len().div_ceil(CLEARED_PART).max(least);
        idle.select_nth_unstable(count - 1);
        for (_, number) in &idle[..count] {
            if let Some(seat) = self.seats.get(number).cloned() {
                seat.is_unwanted.store(true, Ordering::Release);
                self.count(seat.address, false);
                seat.tell();
            }
        }
        count
    }
}

impl Seat {
    pub(super) fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was told to make room.
    pub(super) fn is_unwanted(&self) -> bool {
        self.is_unwanted.load(Ordering::Acquire)
    }

    /// Completes when something was decided about the connection.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }

    fn tell(&self) {
        self.told.notify_one();
    }
}

impl TakenSeat {
    pub(super) fn seats(&self) -> &Arc<Seats> {
        &self.seats
    }

    pub(super) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Stays although it was told to make room: a request came at the same moment.
    pub(super) fn stay(&self) {
        let mut taken = self.seats.taken();
        if self.seat.is_unwanted.swap(false, Ordering::AcqRel) {
            taken.count(self.seat.address, true);
        }
    }
}

impl Deref for TakenSeat {
    type Target = Seat;

    fn deref(&self) -> &Seat {
        &self.seat
    }
}

impl Drop for TakenSeat {
    fn drop(&mut self) {
        self.seats.counts.ended.one();
        let mut taken = self.seats.taken();
        taken.seats.remove(&self.seat.number);
        if !self.seat.is_unwanted() {
            taken.count(self.seat.address, false);
        }
    }
}

/// The address that a connection counts for. Whoever has one address of IPv6 has the 2⁶⁴ beside it.
fn counted(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::framing::Following;
    use super::*;

    fn seats(count_max: usize, per_address_max: usize) -> Arc<Seats> {
        let options = ConnectionOptions {
            count_max: Some(count_max),
            per_address_max: Some(per_address_max),
            ..ConnectionOptions::default()
        };
        Arc::new(Seats::new(&options, Arc::default()))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn work(seat: &TakenSeat, now: Instant) {
        let mut life = seat.life();
        life.pass(now, b"GET / HTTP/1.1\r\n\r\n");
        life.request(now, Following::Bytes(0), true).unwrap();
    }

    #[test]
    fn the_longest_idle_makes_room_and_who_works_stays() {
        let begin = Instant::now();
        let seats = seats(3, 3);
        let peers = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(address);
        let taken: Vec<TakenSeat> = (0..3)
            .map(|at| {
                let now = begin + Duration::from_millis(at);
                seats.take(peers[at as usize], now).unwrap()
            })
            .collect();
        work(&taken[0], begin);
        let later = begin + Duration::from_secs(2);
        let newcomer = seats.take(peers[0], later).unwrap();
        let unwanted: Vec<bool> = taken.iter().map(|seat| seat.is_unwanted()).collect();
        assert_eq!(unwanted, [false, true, false]);
        work(&taken[1], later);
        work(&taken[2], later);
        work(&newcomer, later);
        assert!(seats.take(peers[1], later).is_none(), "all work");
        // The place of the closed one is not given back twice, and one that has something to do
        // stays.
        taken[1].stay();
        assert!(seats.take(peers[1], later).is_none());
        drop(taken);
        let more: Vec<_> = (0..2)
            .map(|_| seats.take(peers[1], later).unwrap())
            .collect();
        more.iter().for_each(|seat| work(seat, later));
        assert!(seats.take(peers[1], later).is_none());
    }

    #[test]
    fn one_address_makes_room_for_itself_alone() {
        let now = Instant::now();
        let seats = seats(10, 2);
        let other = seats
            .take(address("10.0.0.2"), now - Duration::from_secs(9))
            .unwrap();
        let first = seats.take(address("10.0.0.1"), now).unwrap();
        // The same address in another guise.
        let second = seats.take(address("::ffff:10.0.0.1"), now).unwrap();
        let third = seats.take(address("10.0.0.1"), now).unwrap();
        assert!(!other.is_unwanted() && !third.is_unwanted());
        assert_eq!(
            u8::from(first.is_unwanted()) + u8::from(second.is_unwanted()),
            1
        );
        for seat in [&first, &second, &third] {
            work(seat, now);
        }
        assert!(seats.take(address("10.0.0.1"), now).is_none());
        assert!(seats.take(address("10.0.0.3"), now).is_some());
    }

    #[test]
    fn a_trusted_proxy_may_have_any_number_and_makes_room_like_others() {
        let now = Instant::now();
        let options = ConnectionOptions {
            count_max: Some(5),
            per_address_max: Some(2),
            trusted_proxies: TrustedProxies::only(["10.0.0.0/24"]).unwrap(),
            ..ConnectionOptions::default()
        };
        let seats = Arc::new(Seats::new(&options, Arc::default()));
        let proxy = address("::ffff:10.0.0.1");
        let taken: Vec<_> = (0..4).map(|_| seats.take(proxy, now).unwrap()).collect();
        taken.iter().for_each(|seat| work(seat, now));
        let others: Vec<_> = (0..3)
            .map(|_| seats.take(address("10.0.1.1"), now))
            .collect();
        assert!(others[0].is_some() && others[0].as_ref().unwrap().is_unwanted());
        assert!(!taken.iter().any(|seat| seat.is_unwanted()));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        for (one, other, is_same) in [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::7", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("::1", "::2", true),
        ] {
            let same = counted(address(one)) == counted(address(other));
            assert_eq!(same, is_same, "{one} {other}");
        }
    }

    #[test]
    fn many_make_room_at_once() {
        let begin = Instant::now();
        let seats = seats(640, 640);
        let peer = address("10.0.0.1");
        let taken: Vec<_> = (0..640)
            .map(|at| seats.take(peer, begin + Duration::from_millis(at)).unwrap())
            .collect();
        assert_eq!(seats.clear(), 10);
        assert!(taken[..10].iter().all(|seat| seat.is_unwanted()));
        assert!(!taken[10..].iter().any(|seat| seat.is_unwanted()));
    }
}
