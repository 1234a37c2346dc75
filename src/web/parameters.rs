//! The query of a request.

use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;

use super::error::Error;
use crate::access::Traits;
use crate::types::Bcid;

/// The parameters of a query. Names have no letter case, the first of a name counts, an empty value
/// is as good as none, and whatever nobody asks for is ignored.
pub(super) struct Parameters(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Parameters, Infallible> {
        Ok(Parameters::of(&parts.uri))
    }
}

impl Parameters {
    /// Those of a request to `uri`.
    pub(super) fn of(uri: &Uri) -> Parameters {
        // Every query is a list of pairs, so this cannot fail; if it did, nothing was given.
        let pairs = Query::try_from_uri(uri).map(|Query(pairs)| pairs);
        Parameters(pairs.unwrap_or_default())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let value = self.value(name).map(str::trim);
        value.filter(|value| !value.is_empty())
    }

    /// A text that is only given back: as it is, blanks and all. An empty one is none.
    pub(super) fn echo(&self, name: &str) -> Option<String> {
        let value = self.value(name).filter(|value| !value.is_empty());
        value.map(str::to_owned)
    }

    /// What the first parameter of this name says, however the name is written.
    fn value(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let found = pairs.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Error> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(Error::bad_request(format!(
                "the parameter `{name}` must be `true` or `false`"
            ))),
        }
    }

    pub(super) fn integer<T>(
        &self,
        name: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, Error>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let number = number.ok_or_else(|| {
            let (min, max) = (range.start(), range.end());
            Error::bad_request(format!(
                "the parameter `{name}` must be a whole number from {min} to {max}"
            ))
        })?;
        Ok(Some(number))
    }

    /// The class that `bcid` names. Class ids are signed 32-bit numbers at this door.
    pub(super) fn bcid(&self) -> Result<Bcid, Error> {
        let text = self
            .text("bcid")
            .ok_or_else(|| Error::bad_request("the parameter `bcid` is missing"))?;
        let bcid: Bcid = text.parse()?;
        if i32::try_from(bcid.class.0).is_err() {
            let (min, max) = (i32::MIN, i32::MAX);
            return Err(Error::bad_request(format!(
                "invalid BCID: class id `{}` is not a whole number from {min} to {max}",
                bcid.class
            )));
        }
        Ok(bcid)
    }

    /// The traits that `name` lists; faces if there is none.
    pub(super) fn traits(&self, name: &str) -> Result<Traits, Error> {
        let text = self.text(name).unwrap_or_default();
        text.parse().map_err(|()| {
            Error::bad_request(format!(
                "the parameter `{name}` must list `face`, `periocular` or `voice`"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ClassId;

    fn parameters(query: &str) -> Parameters {
        let uri: Uri = format!("http://host/path?{query}").parse().unwrap();
        Parameters(Query::try_from_uri(&uri).unwrap().0)
    }

    #[test]
    fn names_have_no_letter_case_and_values_are_decoded() {
        let found = parameters("BCID=bws%2F112%2f-5&a=1&a=2&empty=&blank=+&flag");
        assert_eq!(found.bcid().unwrap().to_string(), "bws.112.-5");
        assert_eq!(found.text("A"), Some("1"));
        for absent in ["empty", "blank", "flag", "other"] {
            assert_eq!(found.text(absent), None, "{absent}");
        }
    }

    #[test]
    fn booleans_are_words_in_any_letter_case() {
        let found = parameters("a=True&b=FALSE&c=1&d=");
        assert!(matches!(found.boolean("a"), Ok(Some(true))));
        assert!(matches!(found.boolean("b"), Ok(Some(false))));
        assert!(found.boolean("c").is_err());
        assert!(matches!(found.boolean("d"), Ok(None)));
    }

    #[test]
    fn numbers_keep_their_range() {
        let found = parameters("a=1&b=16&c=x&d=-1&e=99999999999999999999&f=");
        assert!(matches!(found.integer("a", 1..=15_u8), Ok(Some(1))));
        for bad in ["b", "c", "d", "e"] {
            assert!(found.integer(bad, 1..=15_u8).is_err(), "{bad}");
        }
        assert!(matches!(found.integer("f", 1..=15_u8), Ok(None)));
    }

    #[test]
    fn class_ids_are_signed_32_bit_numbers() {
        for (text, class) in [
            ("bws.1.2147483647", Some(i64::from(i32::MAX))),
            ("bws.1.-2147483648", Some(i64::from(i32::MIN))),
            ("bws.1.2147483648", None),
            ("bws.1.-2147483649", None),
            ("bws.1", None),
            ("", None),
        ] {
            let found = parameters(&format!("bcid={text}")).bcid().ok();
            assert_eq!(found.map(|bcid| bcid.class), class.map(ClassId), "{text}");
        }
    }

    #[test]
    fn queries_that_are_no_text_do_no_harm() {
        let found = parameters("%ff%fe=%zz&&&=&=x&bcid=%00");
        assert!(found.bcid().is_err());
    }
}
