//! `vultus gallery erase`

use serde::Serialize;

use crate::audit::Receipt;
use crate::cli::admin::{self, Context, Holder};
use crate::cli::args::Erase;
use crate::cli::erasing::{COPIES, say_receipt};
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::partition::{Erased, Pace};
use crate::types::Bcid;

#[derive(Serialize)]
struct ErasedClass {
    class: i64,
    #[serde(flatten)]
    erased: Erased,
    receipt: Option<Receipt>,
}

pub(super) fn run(verb: &Erase, settings: &Settings) -> anyhow::Result<Exit> {
    match admin::holder(settings, open::existing_engine)? {
        Holder::Own(engine) => carry_out(verb, &Context::of(*engine)?, &Pace::unlimited()),
        Holder::Service(service) => service.run(None),
    }
}

/// Removes and overwrites, at this pace.
pub(in crate::cli) fn carry_out(
    verb: &Erase,
    context: &Context,
    pace: &Pace,
) -> anyhow::Result<Exit> {
    open::partition(&context.engine, &verb.partition)?;
    let mut exit = Exit::Success;
    for class in &verb.class {
        let bcid = Bcid::new(verb.partition.clone(), *class);
        let (erased, receipt) = context.erase(&bcid, pace)?;
        if !erased.was_enrolled || !erased.overwritten {
            exit = Exit::No;
        }
        if verb.json {
            let class = class.0;
            output::json_line(&ErasedClass {
                class,
                erased,
                receipt,
            })?;
            continue;
        }
        let removed = match erased.was_enrolled {
            true => "removed",
            false => "was not enrolled",
        };
        let bytes = match erased.overwritten {
            true => "nothing of it is left here",
            false => {
                "what was stored is still being read by another process: run this again when it is done"
            }
        };
        output::say!("class {class} of {}: {removed}; {bytes}", verb.partition);
        say_receipt(receipt.as_ref());
    }
    output::say!("{COPIES}");
    Ok(exit)
}
