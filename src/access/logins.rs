//! Failed log-ins: who fails again and again is answered later, and nobody else.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// As many failures in a row are a matter of course: a secret is typed, or copied from a wrong line.
const FREE: u32 = 10;
/// How much later the first is answered that is not; each after it twice as much.
const DELAY_MIN: Duration = Duration::from_millis(100);
/// The most. Longer would hold connections, and clients give up.
const DELAY_MAX: Duration = Duration::from_secs(2);
/// As many of one address wait for one name at a time; more are told to come again.
const WAITING_MAX: u32 = 16;
/// As many of one address wait whatever names they claim: each holds a connection.
const WAITING_OF_ADDRESS_MAX: u32 = 64;
/// Failures are forgotten when nothing failed for so long.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// The most that is remembered of each kind. When there is more, the oldest goes.
const REMEMBERED_MAX: usize = 4_096;
/// The time in which failures are counted together.
const MINUTE: Duration = Duration::from_secs(60);
/// As many within that time are a flood.
const FLOOD: u64 = 10;

/// Those who failed to prove who they are. Bounded in memory, whatever they make up.
#[derive(Debug, Default)]
pub struct Logins(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    addresses: Remembered<IpAddr, Failures>,
    names: Remembered<LoginName, Failures>,
    /// Who has proved at an address to be of a name, and how often that failed since. Apart from the
    /// others, so that whoever fails with made-up names makes nobody forgotten.
    known: Remembered<(IpAddr, Option<LoginName>), Failures>,
    /// How many wait now.
    waiting: HashMap<(IpAddr, Option<LoginName>), u32>,
    waiting_of_address: HashMap<IpAddr, u32>,
    minute: Minute,
}

/// The name of an app or a key that somebody claims to be, as a number: nobody can fill memory with
/// long ones, and no text of a stranger is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoginName(u64);

/// Who tries to log in: from where, and as whom if there is a name that can be guessed at. Networks of
/// 64 bits count as one address of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    address: IpAddr,
    name: Option<LoginName>,
}

/// So many of one address wait already, for one name or for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many tries of this kind have failed; try again in a moment")]
pub struct TooManyFailed;

impl TooManyFailed {
    /// After how many seconds it can be tried again: by then those that wait now are answered.
    pub const AGAIN_AFTER_SECONDS: u64 = DELAY_MAX.as_secs();
}

/// How long a try has to wait, and its place among those who wait.
#[derive(Debug)]
#[must_use = "dropping it gives the place up"]
pub struct Admitted<'a> {
    logins: &'a Logins,
    login: Login,
    delay: Duration,
}

/// Many failures within a minute, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    /// How many there were.
    pub failures: u64,
    /// Where the last came from.
    pub address: IpAddr,
    /// Whether it has only begun.
    pub is_beginning: bool,
}

#[derive(Debug, Default)]
struct Failures(u32);

#[derive(Debug, Default)]
struct Minute {
    began: Option<Instant>,
    failures: u64,
    last: Option<IpAddr>,
    was_flood: bool,
}

/// What is known of each, with the time of the last change.
#[derive(Debug)]
struct Remembered<K, V>(HashMap<K, (Instant, V)>);

impl LoginName {
    /// That of a text that was shown as a name.
    pub fn of(text: &str) -> LoginName {
        // Seeded anew in each process, so that nobody can make two names meet.
        static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        LoginName(SEED.hash_one(text))
    }
}

impl Login {
    /// Somebody at `address` who claims to be `name`.
    pub fn new(address: IpAddr, name: Option<LoginName>) -> Login {
        let address = match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        };
        Login { address, name }
    }

    fn pair(self) -> (IpAddr, Option<LoginName>) {
        (self.address, self.name)
    }
}

impl Logins {
    /// Lets somebody try, after [`Admitted::delay`].
    ///
    /// Who has proved to be of that name at this address is not kept waiting by what others do, there
    /// or elsewhere, until they fail often themselves.
    ///
    /// # Errors
    ///
    /// If too many wait already.
    pub fn admit(&self, login: Login, now: Instant) -> Result<Admitted<'_>, TooManyFailed> {
        let mut state = self.state();
        let delay = state.delay(login, now);
        if !delay.is_zero() {
            let of_pair = state.waiting.get(&login.pair()).copied();
            let of_address = state.waiting_of_address.get(&login.address).copied();
            if of_pair.unwrap_or(0) >= WAITING_MAX
                || of_address.unwrap_or(0) >= WAITING_OF_ADDRESS_MAX
            {
                return Err(TooManyFailed);
            }
            *state.waiting.entry(login.pair()).or_default() += 1;
            *state.waiting_of_address.entry(login.address).or_default() += 1;
        }
        drop(state);
        let logins = self;
        Ok(Admitted {
            logins,
            login,
            delay,
        })
    }

    /// Somebody has proved who they are.
    pub fn succeeded(&self, login: Login, now: Instant) {
        let mut state = self.state();
        // Also as long as nobody fails: whoever comes then must find who was there before.
        state.known.get_or_default(login.pair(), now).0 = 0;
    }

    /// Somebody has not. Returns what is to be logged of all who have not.
    pub fn failed(&self, login: Login, now: Instant) -> Option<Flood> {
        let mut state = self.state();
        let add = |failures: &mut u32| *failures = failures.saturating_add(1);
        add(&mut state.addresses.get_or_default(login.address, now).0);
        if let Some(name) = login.name {
            add(&mut state.names.get_or_default(name, now).0);
        }
        if state.known.get(&login.pair(), now).is_some() {
            add(&mut state.known.get_or_default(login.pair(), now).0);
        }
        state.minute.add(login.address, now)
    }

    /// Forgets what is long over, and returns what is to be logged of a minute that is. To be asked now
    /// and then.
    pub fn purge(&self, now: Instant) -> Option<Flood> {
        let mut state = self.state();
        state.addresses.purge(now);
        state.names.purge(now);
        state.known.purge(now);
        state.minute.end(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn delay(&self, login: Login, now: Instant) -> Duration {
        let known = self.known.get(&login.pair(), now);
        if known.is_some_and(|Failures(count)| *count < FREE) {
            return Duration::ZERO;
        }
        let of_address = self.addresses.get(&login.address, now);
        let of_name = login.name.and_then(|name| self.names.get(&name, now));
        let failures = [of_address, of_name].into_iter().flatten();
        let failures = failures.map(|Failures(count)| *count).max();
        match failures.unwrap_or_default().checked_sub(FREE) {
            None => Duration::ZERO,
            Some(more) => DELAY_MIN.saturating_mul(1 << more.min(20)).min(DELAY_MAX),
        }
    }
}

impl Admitted<'_> {
    /// How long the try has to wait before it is looked at.
    pub fn delay(&self) -> Duration {
        self.delay
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if self.delay.is_zero() {
            return;
        }
        let mut state = self.logins.state();
        one_less(&mut state.waiting, &self.login.pair());
        one_less(&mut state.waiting_of_address, &self.login.address);
    }
}

/// Nobody is counted who is not there.
fn one_less<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Minute {
    /// Tells of a flood when it begins, and of each minute of it when that is over.
    fn add(&mut self, address: IpAddr, now: Instant) -> Option<Flood> {
        let ended = self.end(now);
        self.began.get_or_insert(now);
        self.failures += 1;
        self.last = Some(address);
        let begins = self.failures == FLOOD && !self.was_flood;
        ended.or(begins.then_some(Flood {
            failures: FLOOD,
            address,
            is_beginning: true,
        }))
    }

    /// Tells of a flood if its minute is over.
    fn end(&mut self, now: Instant) -> Option<Flood> {
        let began = self.began?;
        if now.saturating_duration_since(began) < MINUTE {
            return None;
        }
        let ended = std::mem::take(self);
        self.was_flood = ended.failures >= FLOOD;
        let address = ended.last.filter(|_| self.was_flood)?;
        Some(Flood {
            failures: ended.failures,
            address,
            is_beginning: false,
        })
    }
}

impl<K: Eq + Hash + Clone, V: Default> Remembered<K, V> {
    fn get(&self, key: &K, now: Instant) -> Option<&V> {
        let (changed, value) = self.0.get(key)?;
        is_remembered(*changed, now).then_some(value)
    }

    /// What is known of `key`, to be changed now.
    fn get_or_default(&mut self, key: K, now: Instant) -> &mut V {
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        let (changed, value) = self.0.entry(key).or_insert_with(|| (now, V::default()));
        if !is_remembered(*changed, now) {
            *value = V::default();
        }
        *changed = now;
        value
    }

    /// Forgets the older half, so that not everybody who comes makes room anew.
    fn make_room(&mut self, now: Instant) {
        self.purge(now);
        let mut times: Vec<Instant> = self.0.values().map(|(changed, _)| *changed).collect();
        if times.len() < REMEMBERED_MAX {
            return;
        }
        let middle = times.len() / 2;
        let (_, middle, _) = times.select_nth_unstable(middle);
        let middle = *middle;
        self.0.retain(|_, (changed, _)| *changed > middle);
    }

    fn purge(&mut self, now: Instant) {
        self.0
            .retain(|_, (changed, _)| is_remembered(*changed, now));
    }
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Remembered<K, V> {
        Remembered(HashMap::new())
    }
}

fn is_remembered(changed: Instant, now: Instant) -> bool {
    now.saturating_duration_since(changed) < MEMORY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(address: &str, name: &str) -> Login {
        Login::new(address.parse().unwrap(), Some(LoginName::of(name)))
    }

    fn delay(logins: &Logins, login: Login, now: Instant) -> Duration {
        logins.admit(login, now).unwrap().delay()
    }

    fn fail(logins: &Logins, login: Login, count: u32, now: Instant) {
        for _ in 0..count {
            logins.failed(login, now);
        }
    }

    #[test]
    fn an_address_that_fails_on_is_answered_later_and_later_and_no_other() {
        let (logins, now) = (Logins::default(), Instant::now());
        let bad = login("10.0.0.1", "app");
        fail(&logins, bad, FREE - 1, now);
        assert_eq!(delay(&logins, bad, now), Duration::ZERO);
        let mut last = Duration::ZERO;
        for _ in 0..50 {
            fail(&logins, bad, 1, now);
            let found = delay(&logins, bad, now);
            assert!(found >= last && found <= DELAY_MAX && !found.is_zero());
            last = found;
        }
        assert_eq!(last, DELAY_MAX);
        // Whatever it calls itself, and from all of its network.
        assert_eq!(delay(&logins, login("10.0.0.1", "other"), now), DELAY_MAX);
        assert_eq!(
            delay(&logins, login("::ffff:10.0.0.1", "x"), now),
            DELAY_MAX
        );
        assert_eq!(
            delay(&logins, login("10.0.0.2", "other"), now),
            Duration::ZERO
        );
        assert_eq!(delay(&logins, bad, now + MEMORY), Duration::ZERO);
        let six = login("2001:db8::1", "six");
        fail(&logins, six, 100, now);
        assert_eq!(
            delay(&logins, login("2001:db8::ffff", "new"), now),
            DELAY_MAX
        );
        assert_eq!(
            delay(&logins, login("2001:db8:0:1::1", "new"), now),
            Duration::ZERO
        );
    }

    #[test]
    fn whoever_floods_one_name_shuts_nobody_out() {
        let (logins, now) = (Logins::default(), Instant::now());
        let good = login("10.0.0.1", "app");
        // Before anybody failed.
        logins.succeeded(good, now);
        for host in 0..200 {
            fail(&logins, login(&format!("10.0.1.{host}"), "app"), 5, now);
        }
        assert_eq!(delay(&logins, good, now), Duration::ZERO);
        // A new address waits, and is let in however many of others wait.
        let new = login("10.0.0.2", "app");
        let waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| logins.admit(login("10.0.1.1", "app"), now).unwrap())
            .collect();
        assert_eq!(
            logins.admit(login("10.0.1.1", "app"), now).err(),
            Some(TooManyFailed)
        );
        assert_eq!(delay(&logins, new, now), DELAY_MAX);
        logins.succeeded(new, now);
        assert_eq!(delay(&logins, new, now), Duration::ZERO);
        drop(waiting);
        assert!(logins.admit(login("10.0.1.1", "app"), now).is_ok());
        // Not even at the address that floods, as long as they do not fail themselves.
        let beside = login("10.0.1.1", "its own");
        logins.succeeded(beside, now);
        assert_eq!(delay(&logins, beside, now), Duration::ZERO);
        fail(&logins, beside, FREE, now);
        assert!(delay(&logins, beside, now) > Duration::ZERO);
    }

    #[test]
    fn made_up_names_make_nobody_forgotten_and_do_not_wait_without_end() {
        let (logins, now) = (Logins::default(), Instant::now());
        let good = login("10.0.0.1", "app");
        logins.succeeded(good, now);
        for number in 0..3 * REMEMBERED_MAX {
            let made_up = login("10.0.0.66", &number.to_string());
            logins.failed(made_up, now);
            drop(logins.admit(made_up, now));
        }
        fail(&logins, login("10.0.0.66", "app"), 20, now);
        assert_eq!(delay(&logins, good, now), Duration::ZERO);
        let waiting: Vec<_> = (0..WAITING_OF_ADDRESS_MAX)
            .map(|number| login("10.0.0.66", &number.to_string()))
            .map(|made_up| logins.admit(made_up, now).unwrap())
            .collect();
        let more = logins.admit(login("10.0.0.66", "more"), now);
        assert_eq!(more.err(), Some(TooManyFailed));
        assert!(logins.admit(login("10.0.0.67", "app"), now).is_ok());
        drop(waiting);
        assert!(logins.admit(login("10.0.0.66", "more"), now).is_ok());
        let state = logins.state();
        assert!(state.waiting.is_empty() && state.waiting_of_address.is_empty());
    }

    #[test]
    fn memory_is_bounded_whatever_is_made_up() {
        let (logins, now) = (Logins::default(), Instant::now());
        for number in 0..20_000_u128 {
            let address = IpAddr::V6(Ipv6Addr::from_bits(number << 64));
            let name = LoginName::of(&number.to_string());
            let login = Login::new(address, Some(name));
            logins.failed(login, now + Duration::from_micros(number as u64));
            logins.succeeded(login, now + Duration::from_micros(number as u64));
        }
        let state = logins.state();
        let sizes = [
            state.addresses.0.len(),
            state.names.0.len(),
            state.known.0.len(),
        ];
        assert!(
            sizes.iter().all(|size| (1..=REMEMBERED_MAX).contains(size)),
            "{sizes:?}"
        );
        drop(state);
        logins.purge(now + 2 * MEMORY);
        assert!(logins.state().addresses.0.is_empty() && logins.state().known.0.is_empty());
    }

    #[test]
    fn a_flood_is_told_when_it_begins_and_once_a_minute() {
        let (logins, now) = (Logins::default(), Instant::now());
        let bad = login("10.0.0.1", "app");
        let told: Vec<Flood> = (0..30_000)
            .filter_map(|at| logins.failed(bad, now + Duration::from_millis(at * 10)))
            .collect();
        // Five minutes: the beginning, and four minutes that are over.
        let beginnings: Vec<bool> = told.iter().map(|flood| flood.is_beginning).collect();
        assert_eq!(beginnings, [true, false, false, false, false]);
        assert_eq!((told[0].failures, told[1].failures), (FLOOD, 6_000));
        // A few now and then are none.
        let later = now + Duration::from_secs(3_600);
        let slow =
            (0..100).filter_map(|at| logins.failed(bad, later + Duration::from_secs(at * 10)));
        assert_eq!(slow.filter(|flood| flood.is_beginning).count(), 0);
    }
}
