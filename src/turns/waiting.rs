//! Work that waits, in a line for each account.

use std::collections::{BTreeMap, VecDeque};

use super::Account;

/// Work that waits for its turn.
#[derive(Debug)]
pub struct Waiting<T> {
    lines: BTreeMap<Account, Line<T>>,
    /// What was spent on whoever was served last, before they were: who comes new begins there, so
    /// that nobody saves up turns by staying away.
    now: f64,
    next_place: u64,
    cost: f64,
    count: usize,
}

/// Where a piece of work waits, to withdraw it.
#[derive(Clone, Debug)]
pub struct Place {
    account: Account,
    number: u64,
}

/// Whether more work may come to what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It may.
    Fits,
    /// No: too many pieces wait, however little each of them takes.
    TooMany,
    /// No: what waits takes too long.
    TooLong,
}

/// Work that was given up, so that other work may come in.
struct GivenUp<T> {
    account: Account,
    spent: f64,
    piece: Piece<T>,
}

/// The work of one account, the oldest first.
#[derive(Debug)]
struct Line<T> {
    spent: f64,
    cost: f64,
    pieces: VecDeque<Piece<T>>,
}

#[derive(Debug)]
struct Piece<T> {
    number: u64,
    cost: f64,
    /// It was promised that it is done.
    is_firm: bool,
    work: T,
}

impl<T> Line<T> {
    /// How much an account has of what there is too much of.
    fn size(&self, full: Fit) -> f64 {
        match full {
            Fit::TooMany => self.pieces.len() as f64,
            Fit::Fits | Fit::TooLong => self.cost,
        }
    }

    /// Where the piece with this number is.
    fn at(&self, number: u64) -> Option<usize> {
        let found = self
            .pieces
            .binary_search_by_key(&number, |piece| piece.number);
        found.ok()
    }
}

impl<T> Default for Waiting<T> {
    fn default() -> Waiting<T> {
        Waiting {
            lines: BTreeMap::new(),
            now: 0.0,
            next_place: 0,
            cost: 0.0,
            count: 0,
        }
    }
}

impl<T> Waiting<T> {
    /// Puts work at the end of its account's line. `cost` is what it will probably take, in any unit
    /// that is the same for all. Work that is firm is never among what [`Waiting::make_room`] gives up.
    pub fn push(&mut self, account: &Account, cost: f64, is_firm: bool, work: T) -> Place {
        let number = self.next_place;
        self.next_place += 1;
        let line = self.lines.entry(account.clone()).or_insert(Line {
            spent: self.now,
            cost: 0.0,
            pieces: VecDeque::new(),
        });
        if line.pieces.is_empty() {
            line.spent = line.spent.max(self.now);
        }
        line.cost += cost;
        self.cost += cost;
        self.count += 1;
        line.pieces.push_back(Piece {
            number,
            cost,
            is_firm,
            work,
        });
        let account = account.clone();
        Place { account, number }
    }

    /// Takes the oldest work of the account that the least was spent on.
    pub fn take_next(&mut self) -> Option<(Account, T)> {
        self.take_next_of(|_| true)
    }

    /// Takes the oldest work that is `wanted` of the account that the least was spent on, among those
    /// that have any. Its cost counts as spent from now on.
    pub fn take_next_of(&mut self, wanted: impl Fn(&T) -> bool) -> Option<(Account, T)> {
        let found = |line: &Line<T>| line.pieces.iter().position(|piece| wanted(&piece.work));
        let lines = self.lines.iter();
        let lines = lines.filter_map(|(account, line)| Some((account, line, found(line)?)));
        let oldest = |line: &Line<T>, at: usize| line.pieces[at].number;
        let (account, _, at) = lines.min_by(|(_, one, at), (_, other, other_at)| {
            let by_spent = one.spent.total_cmp(&other.spent);
            by_spent.then_with(|| oldest(one, *at).cmp(&oldest(other, *other_at)))
        })?;
        let account = account.clone();
        let line = self.lines.get_mut(&account)?;
        self.now = self.now.max(line.spent);
        let piece = line.pieces.remove(at)?;
        line.spent += piece.cost;
        self.forget(&account, piece.cost);
        Some((account, piece.work))
    }

    /// Work that was given out took so much more than it was thought to: that counts as spent, too.
    pub fn spend_more(&mut self, account: &Account, cost: f64) {
        if self.count == 0 {
            // There is nobody to compare with.
            return;
        }
        let line = self.lines.entry(account.clone()).or_insert(Line {
            spent: self.now,
            cost: 0.0,
            pieces: VecDeque::new(),
        });
        line.spent = line.spent.max(self.now) + cost;
    }

    /// Work that still waits will probably take so much, not what was said when it came.
    pub fn set_cost(&mut self, place: &Place, cost: f64) {
        let Some(line) = self.lines.get_mut(&place.account) else {
            return;
        };
        let Some(at) = line.at(place.number) else {
            return;
        };
        let more = cost - line.pieces[at].cost;
        line.pieces[at].cost = cost;
        line.cost += more;
        self.cost += more;
    }

    /// Takes work out of its line, if it is still there.
    pub fn withdraw(&mut self, place: &Place) -> Option<T> {
        let line = self.lines.get_mut(&place.account)?;
        let at = line.at(place.number)?;
        let piece = line.pieces.remove(at)?;
        self.forget(&place.account, piece.cost);
        Some(piece.work)
    }

    /// Work that still waits, to be changed.
    pub fn get_mut(&mut self, place: &Place) -> Option<&mut T> {
        let line = self.lines.get_mut(&place.account)?;
        let at = line.at(place.number)?;
        Some(&mut line.pieces[at].work)
    }

    /// Takes out all that is `meant`, the work of one account after that of another.
    pub fn withdraw_all(&mut self, meant: impl Fn(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for line in self.lines.values_mut() {
            let pieces = std::mem::take(&mut line.pieces);
            for piece in pieces {
                if meant(&piece.work) {
                    line.cost -= piece.cost;
                    self.cost -= piece.cost;
                    self.count -= 1;
                    taken.push(piece.work);
                } else {
                    line.pieces.push_back(piece);
                }
            }
        }
        self.drop_idle();
        taken
    }

    /// Makes room for `cost` more of `account` until that `fits`: whoever has most gives up the newest
    /// of it, as long as they have more than `account` then would, and it is not firm. Most is of
    /// pieces where those are too many, and of cost where that is too much: many small pieces of one
    /// account must not shut out a few large ones of another. Returns what was given up; `None`, and
    /// all is as before, if it does not fit all the same.
    pub fn make_room(
        &mut self,
        account: &Account,
        cost: f64,
        fits: impl Fn(&Waiting<T>) -> Fit,
    ) -> Option<Vec<T>> {
        let mut given_up = Vec::new();
        loop {
            let full = fits(self);
            if full == Fit::Fits {
                break;
            }
            match self.give_up(account, cost, full) {
                Some(piece) => given_up.push(piece),
                None => {
                    given_up
                        .into_iter()
                        .rev()
                        .for_each(|piece| self.put_back(piece));
                    return None;
                }
            }
        }
        Some(
            given_up
                .into_iter()
                .map(|given_up| given_up.piece.work)
                .collect(),
        )
    }

    fn give_up(&mut self, account: &Account, cost: f64, full: Fit) -> Option<GivenUp<T>> {
        let account = self.greatest_above(account, cost, full)?.clone();
        let line = self.lines.get_mut(&account)?;
        let at = line.pieces.iter().rposition(|piece| !piece.is_firm)?;
        let (spent, piece) = (line.spent, line.pieces.remove(at)?);
        self.forget(&account, piece.cost);
        Some(GivenUp {
            account,
            spent,
            piece,
        })
    }

    /// Takes work back. Of several pieces the one that was given up last comes first.
    fn put_back(&mut self, given_up: GivenUp<T>) {
        let GivenUp {
            account,
            spent,
            piece,
        } = given_up;
        let line = self.lines.entry(account).or_insert(Line {
            spent,
            cost: 0.0,
            pieces: VecDeque::new(),
        });
        line.cost += piece.cost;
        self.cost += piece.cost;
        self.count += 1;
        let before = |other: &Piece<T>| other.number < piece.number;
        let at = line.pieces.partition_point(before);
        line.pieces.insert(at, piece);
    }

    /// Whether [`Waiting::make_room`] would give something up for `cost` more of `account`, which
    /// `fits` or not.
    pub fn gives_way_to(&self, account: &Account, cost: f64, fits: Fit) -> bool {
        fits != Fit::Fits && self.greatest_above(account, cost, fits).is_some()
    }

    fn greatest_above(&self, account: &Account, cost: f64, full: Fit) -> Option<&Account> {
        let more = match full {
            Fit::TooMany => 1.0,
            Fit::Fits | Fit::TooLong => cost,
        };
        let size = |line: &Line<T>| line.size(full);
        let own = self.lines.get(account).map_or(0.0, size) + more;
        let can_give = |line: &Line<T>| line.pieces.iter().any(|piece| !piece.is_firm);
        let others = self.lines.iter().filter(|(other, _)| *other != account);
        let (greatest, line) = others
            .filter(|(_, line)| can_give(line))
            .max_by(|(_, one), (_, other)| size(one).total_cmp(&size(other)))?;
        (size(line) > own).then_some(greatest)
    }

    /// Whether others than `account` wait, too.
    pub fn has_others_than(&self, account: &Account) -> bool {
        let mut lines = self.lines.iter();
        lines.any(|(other, line)| other != account && !line.pieces.is_empty())
    }

    /// What all that waits of one account will probably take.
    pub fn cost_of(&self, account: &Account) -> f64 {
        let line = self.lines.get(account);
        line.filter(|line| !line.pieces.is_empty())
            .map_or(0.0, |line| line.cost)
    }

    /// What is done before `cost` more of `account`, each piece with its share from 0 to 1: all of its
    /// own, and of another account no more than that is. The rest is done afterwards.
    pub fn before(&self, account: &Account, cost: f64) -> impl Iterator<Item = (&T, f64)> {
        let own = self.cost_of(account) + cost;
        self.lines.iter().flat_map(move |(other, line)| {
            let share = if other == account {
                1.0
            } else {
                (own / line.cost).min(1.0)
            };
            line.pieces.iter().map(move |piece| (&piece.work, share))
        })
    }

    /// What all that waits will probably take.
    pub fn cost(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.cost }
    }

    /// How many pieces wait.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All that waits.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let lines = self.lines.values();
        lines.flat_map(|line| line.pieces.iter().map(|piece| &piece.work))
    }

    /// A piece of `account` is gone.
    fn forget(&mut self, account: &Account, cost: f64) {
        if let Some(line) = self.lines.get_mut(account) {
            line.cost -= cost;
        }
        self.cost -= cost;
        self.count -= 1;
        self.drop_idle();
    }

    /// Forgets callers on whom no more was spent than a new one begins with, so that memory does not
    /// grow with all who ever came.
    fn drop_idle(&mut self) {
        if self.count == 0 {
            // Rounding would add up. With nobody left to compare with, everybody begins anew.
            (self.cost, self.now) = (0.0, 0.0);
            self.lines.clear();
            return;
        }
        let now = self.now;
        self.lines
            .retain(|_, line| !line.pieces.is_empty() || line.spent > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> Account {
        Account::new(name)
    }

    /// Pushes so many pieces of this cost, numbered from 0.
    fn push(waiting: &mut Waiting<(String, usize)>, name: &str, count: usize, cost: f64) {
        for number in 0..count {
            waiting.push(&account(name), cost, false, (name.to_owned(), number));
        }
    }

    /// It fits as soon as so many wait; with more of them it takes too long.
    fn has<T>(count: usize) -> impl Fn(&Waiting<T>) -> Fit {
        move |waiting| match waiting.len() <= count {
            true => Fit::Fits,
            false => Fit::TooLong,
        }
    }

    /// The same where more would be too many.
    fn counts<T>(count: usize) -> impl Fn(&Waiting<T>) -> Fit {
        move |waiting| match waiting.len() <= count {
            true => Fit::Fits,
            false => Fit::TooMany,
        }
    }

    fn order(waiting: &mut Waiting<(String, usize)>) -> Vec<String> {
        let next = || {
            waiting
                .take_next()
                .map(|(_, (name, number))| format!("{name}{number}"))
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn one_account_is_served_in_the_order_in_which_it_came() {
        let mut waiting = Waiting::default();
        push(&mut waiting, "a", 5, 1.0);
        assert_eq!(order(&mut waiting), ["a0", "a1", "a2", "a3", "a4"]);
        assert!(waiting.is_empty() && waiting.lines.is_empty());
    }

    #[test]
    fn who_sends_much_delays_the_others_by_one_piece() {
        let mut waiting = Waiting::default();
        push(&mut waiting, "a", 1000, 1.0);
        for _ in 0..10 {
            waiting.take_next();
        }
        push(&mut waiting, "b", 1, 1.0);
        let order = order(&mut waiting);
        assert!(order[..2].contains(&"b0".to_owned()), "{:?}", &order[..5]);
    }

    #[test]
    fn shares_are_by_cost_and_not_by_number() {
        let mut waiting = Waiting::default();
        push(&mut waiting, "dear", 100, 10.0);
        push(&mut waiting, "cheap", 100, 1.0);
        let first = order(&mut waiting);
        let dear = first[..44]
            .iter()
            .filter(|name| name.starts_with("dear"))
            .count();
        assert!((3..=5).contains(&dear), "{dear} of 44");
    }

    #[test]
    fn what_took_more_than_it_was_thought_to_is_spent() {
        let mut waiting = Waiting::default();
        push(&mut waiting, "crowd", 20, 1.0);
        push(&mut waiting, "single", 20, 1.0);
        let mut first = Vec::new();
        while let Some((account, (name, _))) = waiting.take_next() {
            if name == "crowd" {
                waiting.spend_more(&account, 9.0);
            }
            first.push(name);
        }
        let crowds = first[..11].iter().filter(|name| *name == "crowd").count();
        assert!((1..=2).contains(&crowds), "{first:?}");
        // With nobody there, there is nothing to compare with, and nothing to keep.
        waiting.spend_more(&account("crowd"), 1e9);
        assert!(waiting.lines.is_empty());
    }

    #[test]
    fn what_is_said_to_cost_more_waits_for_its_share() {
        let mut waiting = Waiting::default();
        let place = waiting.push(&account("a"), 1.0, true, ("a".to_owned(), 0));
        push(&mut waiting, "b", 1, 1.0);
        waiting.set_cost(&place, 64.0);
        assert_eq!(waiting.cost_of(&account("a")), 64.0);
        assert_eq!(waiting.cost(), 65.0);
        assert!(waiting.withdraw(&place).is_some());
        assert_eq!(waiting.cost(), 1.0);
        waiting.set_cost(&place, 5.0);
        assert_eq!(waiting.cost(), 1.0, "it is gone");
    }

    #[test]
    fn nobody_saves_up_turns_by_staying_away() {
        let mut waiting = Waiting::default();
        push(&mut waiting, "a", 100, 1.0);
        for _ in 0..50 {
            waiting.take_next();
        }
        push(&mut waiting, "b", 50, 1.0);
        let next = order(&mut waiting);
        let late = next[..20]
            .iter()
            .filter(|name| name.starts_with('b'))
            .count();
        assert!((9..=11).contains(&late), "{late} of 20");
    }

    #[test]
    fn what_is_withdrawn_is_gone_and_costs_nothing() {
        let mut waiting = Waiting::default();
        let places: Vec<Place> = (0..4)
            .map(|number| waiting.push(&account("a"), 2.0, false, number))
            .collect();
        assert_eq!(waiting.withdraw(&places[1]), Some(1));
        assert_eq!(waiting.withdraw(&places[1]), None);
        assert_eq!((waiting.len(), waiting.cost()), (3, 6.0));
        assert_eq!(waiting.withdraw_all(|&number| number >= 2), [2, 3]);
        assert_eq!(waiting.take_next().map(|(_, number)| number), Some(0));
        assert_eq!(waiting.withdraw(&places[0]), None);
        assert_eq!((waiting.len(), waiting.cost()), (0, 0.0));
    }

    #[test]
    fn whoever_has_most_makes_room_with_the_newest() {
        let mut waiting = Waiting::default();
        push(&mut waiting, "a", 8, 1.0);
        push(&mut waiting, "b", 3, 1.0);
        let new = account("c");
        assert!(waiting.gives_way_to(&new, 1.0, Fit::TooLong));
        assert!(!waiting.gives_way_to(&new, 1.0, Fit::Fits));
        let given_up = waiting.make_room(&new, 1.0, has(10));
        assert_eq!(given_up.unwrap(), [("a".to_owned(), 7)]);
        // Who would have as much as the greatest has no claim, and the greatest itself has none.
        assert!(waiting.make_room(&new, 7.0, has(9)).is_none());
        assert!(waiting.make_room(&account("a"), 1.0, has(9)).is_none());
        assert!(!waiting.gives_way_to(&account("a"), 1.0, Fit::TooLong));
        assert_eq!(waiting.len(), 10);
    }

    #[test]
    fn many_small_pieces_make_room_for_a_large_one_where_there_are_too_many() {
        let mut waiting = Waiting::default();
        push(&mut waiting, "many small", 8, 0.1);
        push(&mut waiting, "few large", 2, 50.0);
        let new = account("large");
        // Nobody has as much as it would, so that nobody makes it come sooner.
        assert!(!waiting.gives_way_to(&new, 101.0, Fit::TooLong));
        assert!(waiting.make_room(&new, 101.0, has(9)).is_none());
        assert!(waiting.gives_way_to(&new, 101.0, Fit::TooMany));
        let given_up = waiting.make_room(&new, 101.0, counts(9));
        assert_eq!(given_up.unwrap(), [("many small".to_owned(), 7)]);
        push(&mut waiting, "large", 6, 64.0);
        // It would have as many as the others now.
        assert!(!waiting.gives_way_to(&new, 1.0, Fit::TooMany));
        assert!(waiting.make_room(&new, 1.0, counts(14)).is_none());
        assert_eq!(waiting.len(), 15);
    }

    #[test]
    fn what_was_given_up_for_nothing_is_back_in_its_place() {
        let mut waiting = Waiting::default();
        push(&mut waiting, "a", 5, 1.0);
        let new = account("c");
        // Four of the five go before both have as much, and that is not enough.
        assert!(waiting.make_room(&new, 1.0, has(0)).is_none());
        assert_eq!((waiting.len(), waiting.cost()), (5, 5.0));
        assert_eq!(order(&mut waiting), ["a0", "a1", "a2", "a3", "a4"]);
    }

    #[test]
    fn what_is_firm_makes_no_room() {
        let mut waiting = Waiting::default();
        let firm = waiting.push(&account("a"), 9.0, true, 0);
        let new = account("b");
        assert!(waiting.make_room(&new, 1.0, has(0)).is_none());
        waiting.push(&account("a"), 1.0, false, 1);
        waiting.push(&account("a"), 1.0, true, 2);
        assert_eq!(waiting.make_room(&new, 1.0, has(2)).unwrap(), [1]);
        assert!(waiting.make_room(&new, 1.0, has(0)).is_none());
        assert_eq!(waiting.withdraw(&firm), Some(0));
    }

    #[test]
    fn memory_does_not_grow_with_all_who_ever_came() {
        let mut waiting = Waiting::default();
        waiting.push(&account("stays"), 1.0, false, 0);
        for number in 0..1000 {
            waiting.push(&Account::new(number), 1.0, false, number);
            waiting.push(&account("stays"), 1.0, false, number);
            waiting.take_next();
            waiting.take_next();
        }
        assert!(waiting.lines.len() < 10, "{}", waiting.lines.len());
    }
}
