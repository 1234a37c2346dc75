//! Movements of a head.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A movement of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Chin up.
    Up,
    /// Chin down.
    Down,
    /// To the left, as seen on the preview.
    Left,
    /// To the right, as seen on the preview.
    Right,
}

/// A word is no direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no direction: expected `up`, `down`, `left` or `right`")]
pub struct ParseDirectionError;

impl Direction {
    /// All directions.
    pub const ALL: [Direction; 4] = [
        Direction::Up,
        Direction::Down,
        Direction::Left,
        Direction::Right,
    ];

    /// What it is in a mirror: left and right change places.
    #[must_use]
    pub fn mirrored(self) -> Direction {
        match self {
            Direction::Left => Direction::Right,
            Direction::Right => Direction::Left,
            upright => upright,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Direction::Up => "up",
            Direction::Down => "down",
            Direction::Left => "left",
            Direction::Right => "right",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// In small or capital letters.
impl FromStr for Direction {
    type Err = ParseDirectionError;

    fn from_str(text: &str) -> Result<Direction, ParseDirectionError> {
        Direction::ALL
            .into_iter()
            .find(|direction| text.eq_ignore_ascii_case(direction.word()))
            .ok_or(ParseDirectionError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_in_any_case() {
        for direction in Direction::ALL {
            assert_eq!(direction.to_string().parse(), Ok(direction));
            assert_eq!(direction.to_string().to_uppercase().parse(), Ok(direction));
            assert_eq!(direction.mirrored().mirrored(), direction);
        }
        assert_eq!(Direction::Left.mirrored(), Direction::Right);
        assert_eq!(Direction::Up.mirrored(), Direction::Up);
        for other in ["any", "", "left ", "leftright"] {
            assert_eq!(other.parse::<Direction>(), Err(ParseDirectionError));
        }
    }
}
