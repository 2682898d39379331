//! Takes the steps, one after the other, and looks at the host again after each.

use anyhow::bail;

use super::Wish;
use super::change::{Change, typed};
use super::facts::Facts;
use super::host::Host;
use super::plan::{self, State, Step};
use super::record::{Keeper, Record};
use super::show;

/// Makes the host as wished. Nothing is changed when something is in the way; the record says what is changed before it is.
pub(super) fn apply(
    host: &mut impl Host,
    wish: &Wish,
    keeper: &Keeper,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    let kept = keeper.load()?;
    let first = host.facts()?;
    let mut record = of_this_boot(kept.clone(), &first);
    record.wish(wish);
    let taken = take_steps(host, wish, first, &mut record, keeper, say)?;
    if kept.as_ref() != Some(&record) {
        keeper.save(&record)?;
    }
    say(&show::applied(taken, keeper.path()));
    Ok(())
}

/// What an earlier boot has changed is gone.
fn of_this_boot(kept: Option<Record>, facts: &Facts) -> Record {
    kept.filter(|record| record.boot == facts.boot).unwrap_or_else(|| Record::new(&facts.boot))
}

/// How many steps it took.
fn take_steps(
    host: &mut impl Host,
    wish: &Wish,
    mut facts: Facts,
    record: &mut Record,
    keeper: &Keeper,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<usize> {
    let mut taken: Vec<Change> = Vec::new();
    loop {
        let steps = plan::plan(wish, &facts)?;
        refuse_blocked(&steps, taken.len())?;
        let Some((what, change)) = next(&steps) else { return Ok(taken.len()) };
        if taken.iter().any(|earlier| earlier.is_of_the_same(change)) {
            bail!(
                "the commands for \"{what}\" have run without an error, and yet it is not so; does something else set it back?"
            );
        }
        record.note(change);
        keeper.save(record)?;
        for command in change.commands() {
            say(&typed(&command));
            host.run(&command)?;
        }
        taken.push(change.clone());
        facts = host.facts()?;
    }
}

fn refuse_blocked(steps: &[Step], taken: usize) -> anyhow::Result<()> {
    let reasons: Vec<String> = plan::blocked(steps).map(show::reason).collect();
    if reasons.is_empty() {
        return Ok(());
    }
    let changed = if taken == 0 { "nothing was changed" } else { "not all was done; --undo takes back what was" };
    bail!("{changed}, since this is in the way:\n{}", reasons.join("\n"));
}

fn next(steps: &[Step]) -> Option<(&str, &Change)> {
    steps.iter().find_map(|step| match &step.state {
        State::Todo { change, .. } => Some((step.what.as_str(), change)),
        State::So | State::Blocked { .. } => None,
    })
}
