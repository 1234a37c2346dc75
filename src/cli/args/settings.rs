//! Flags of settings, which follow from the table of settings.

use std::ffi::OsString;

use clap::builder::OsStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{Flag, SETTINGS, Setting};

/// Behind the flags of the verb itself.
const FIRST_PLACE: usize = 1_000;

/// `root` with the flags of all settings.
///
/// Help shows a flag at the verbs that use it. One that several verbs use can also be typed before
/// the verb and at every other verb, where it does nothing, so that a script can always give it.
pub(super) fn with_flags(root: Command) -> Command {
    let common = SETTINGS.iter().enumerate().filter(|(_, it)| is_common(it));
    let root = common.fold(root, |root, (place, setting)| {
        let is_shown = root
            .get_subcommands()
            .map(Command::get_name)
            .filter(|verb| SETTINGS.iter().any(|any| any.is_used_by(verb)))
            .all(|verb| setting.is_used_by(verb));
        root.arg(flag(place, setting).hide(!is_shown))
    });
    with_flags_below(root, "")
}

fn with_flags_below(parent: Command, path: &str) -> Command {
    parent.mut_subcommands(|verb| {
        let path = format!("{path} {}", verb.get_name());
        let verb = with_flags_below(verb, &path);
        let all = SETTINGS.iter().enumerate();
        all.fold(verb, |verb, (place, setting)| {
            let is_used = setting.is_used_by(path.trim_start());
            match is_used || is_common(setting) {
                true => verb.arg(flag(place, setting).hide(!is_used)),
                false => verb,
            }
        })
    })
}

/// Whether several verbs use it.
fn is_common(setting: &Setting) -> bool {
    setting.verbs.len() > 1
}

fn flag(place: usize, setting: &Setting) -> Arg {
    Arg::new(setting.name)
        .long(setting.flag())
        .value_name(setting.value_name)
        .help(setting.help())
        .help_heading("Settings")
        .display_order(FIRST_PLACE + place)
        .global(is_common(setting))
        // What is typed is judged where values of files and variables are, and in the same words.
        .action(ArgAction::Append)
        .value_parser(OsStringValueParser::new())
        .allow_negative_numbers(true)
}

/// The settings that were typed.
pub(in crate::cli) fn typed(matches: &ArgMatches) -> Vec<Flag> {
    let mut verb = matches;
    while let Some((_, below)) = verb.subcommand() {
        verb = below;
    }
    let values = |setting: &Setting| -> Option<Vec<OsString>> {
        let values = verb.try_get_many::<OsString>(setting.name).ok()?;
        Some(values?.cloned().collect())
    };
    let typed = SETTINGS.iter().map(|setting| (setting, values(setting)));
    typed
        .filter_map(|(setting, values)| Some((setting, values?)))
        .collect()
}
