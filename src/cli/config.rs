//! `vultus config show`

use comfy_table::CellAlignment;

use super::args::Config;
use super::exit::Exit;
use super::output;
use crate::config::Settings;

pub(super) fn run(verb: &Config, settings: &Settings) -> anyhow::Result<Exit> {
    let Config::Show { json } = verb;
    let all = settings.in_force();
    if *json {
        all.iter()
            .try_for_each(|one| output::json_line(&one.json()))?;
        return Ok(Exit::Success);
    }
    let mut table = output::table(&["setting", "from", "value"]);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Left);
    }
    for one in &all {
        table.add_row([one.setting.name.to_owned(), one.origin(), one.text()]);
    }
    output::line(table.to_string())?;
    Ok(Exit::Success)
}
