//! `join_sessions`: sessions from the parts of them that days, accounts and sources hold.

use std::cmp::Ordering;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, StringArray, StringBuilder, StructArray,
};
use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Int64Type, IntervalUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::aggregate::{Constants, items, lists, places};
use super::frame::{Framed, States, expect_countable, keeps, refuse_distinct};
use super::paths::{self, Sessions, StepOrder};
use crate::args::{expect_arity, nullable_fields, text_type};

#[user_doc(
    doc_section(label = "Groups"),
    description = "The sessions that parts of them come to, in the order of time: a list of {started_at, ended_at, steps, path, holder, logged_in}. A part belongs to the session before it when it starts less than `gap` after the end of that; of parts that start together the one comes first whose first step `order` names first, then the one that ends first. `steps` are summed and paths put one after the other, the letter where two of them meet taken once. A session is `logged_in` when one of its parts is, and belongs to the greatest holder of those parts, else of all. A group without parts has an empty list.",
    syntax_example = "join_sessions(sessions, holder, logged_in, gap [, order])",
    sql_example = "```sql\nselect device_id, join_sessions(sessions, customer_id, account_id is not null, interval '30 minutes', 'vco') from features.visits group by device_id;\n```",
    argument(name = "sessions", description = "Lists as `session_paths` makes them."),
    argument(name = "holder", description = "A text: whose parts they are, or NULL."),
    argument(name = "logged_in", description = "A boolean: whether the holder is known from a login."),
    argument(name = "gap", description = "A constant interval above zero, without months."),
    argument(
        name = "order",
        description = "A constant text: the letters of steps, as `session_paths` takes it."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct JoinSessions {
    signature: Signature,
}

impl Default for JoinSessions {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// What a list of parts holds, and a list of sessions: the fields of `session_paths`, and whose they are.
fn fields() -> Fields {
    let whose = nullable_fields(&[("holder", DataType::Utf8), ("logged_in", DataType::Boolean)]);
    paths::fields().iter().chain(&whose).cloned().collect()
}

fn list_of(fields: Fields) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Struct(fields), true)))
}

impl AggregateUDFImpl for JoinSessions {
    fn name(&self) -> &str {
        "join_sessions"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let names = ["sessions", "holder", "logged_in", "gap", "order"];
        expect_arity(self.name(), types, if types.len() == 4 { &names[..4] } else { &names })?;
        let parts = match &types[0] {
            DataType::List(item) => match item.data_type() {
                DataType::Struct(given) => given
                    .iter()
                    .map(|field| field.name())
                    .eq(paths::fields().iter().map(|field| field.name())),
                _ => false,
            },
            other => other.is_null(),
        };
        if !parts {
            return plan_err!(
                "join_sessions: argument sessions must be a list of {{started_at, ended_at, steps, path}}, as session_paths makes it, not {}",
                types[0]
            );
        }
        if !matches!(types[2], DataType::Boolean | DataType::Null) {
            return plan_err!("join_sessions: argument logged_in must be a boolean, not {}", types[2]);
        }
        let holder = text_type(self.name(), "holder", &types[1])?;
        let order = types.get(4).map(|order| text_type(self.name(), "order", order)).transpose()?;
        let gap = DataType::Interval(IntervalUnit::MonthDayNano);
        Ok([list_of(paths::fields()), holder, DataType::Boolean, gap].into_iter().chain(order).collect())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(list_of(fields()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "parts"), list_of(fields()), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Framed(Parts::new(&args)?)))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Framed(Parts::new(&args)?)))
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::List(ScalarValue::new_list(&[], &DataType::Struct(fields()), true)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The parts of all groups. Texts stay in the columns they came in.
#[derive(Debug)]
struct Parts {
    gap: i64,
    order: StepOrder,
    texts: Vec<Texts>,
    parts: Vec<Part>,
    groups: usize,
    /// The bytes of `texts`.
    bytes: usize,
}

/// Paths by item, holders by row.
#[derive(Debug)]
struct Texts {
    paths: StringArray,
    holders: StringArray,
    logged_in: BooleanArray,
}

/// One part, and where its texts are.
#[derive(Debug, Clone, Copy)]
struct Part {
    group: u32,
    texts: u32,
    item: u32,
    row: u32,
    started: i64,
    ended: i64,
    steps: i64,
}

impl Parts {
    fn new(args: &AccumulatorArgs) -> Result<Self> {
        refuse_distinct("join_sessions", args)?;
        let constants = Constants::new("join_sessions", args.exprs);
        let order = if args.exprs.len() > 4 { constants.text(4, "order")? } else { String::new() };
        Ok(Self::of(constants.duration(3, "gap")?, StepOrder::new(&order)))
    }

    fn of(gap: i64, order: StepOrder) -> Self {
        Self { gap, order, texts: Vec::new(), parts: Vec::new(), groups: 0, bytes: 0 }
    }

    fn path(&self, part: &Part) -> &str {
        let paths = &self.texts[part.texts as usize].paths;
        if paths.is_valid(part.item as usize) { paths.value(part.item as usize) } else { "" }
    }

    fn holder(&self, part: &Part) -> Option<&str> {
        let holders = &self.texts[part.texts as usize].holders;
        holders.is_valid(part.row as usize).then(|| holders.value(part.row as usize))
    }

    fn logged_in(&self, part: &Part) -> bool {
        let logged_in = &self.texts[part.texts as usize].logged_in;
        logged_in.is_valid(part.row as usize) && logged_in.value(part.row as usize)
    }

    /// Parts by group, each group's in the order of time.
    fn sort(&mut self) {
        let mut parts = std::mem::take(&mut self.parts);
        parts.sort_unstable_by(|a, b| self.order(a, b));
        self.parts = parts;
    }

    fn order(&self, a: &Part, b: &Part) -> Ordering {
        let start = |part: &Part| (part.group, part.started);
        let first = |part: &Part| self.path(part).chars().next().map(|letter| self.order.rank(letter));
        start(a)
            .cmp(&start(b))
            .then_with(|| (first(a), a.ended).cmp(&(first(b), b.ended)))
            .then_with(|| self.path(a).cmp(self.path(b)))
    }

    /// What `give` makes of the first groups of parts that lie by group, which are taken away; those behind them move to the front.
    fn take(
        &mut self,
        emit: EmitTo,
        give: impl Fn(&Self, &[Part], usize) -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        let groups = match emit {
            EmitTo::All => self.groups,
            EmitTo::First(groups) => groups,
        };
        let end = self.parts.partition_point(|part| (part.group as usize) < groups);
        let given = give(self, &self.parts[..end], groups)?;
        self.parts.drain(..end);
        for part in &mut self.parts {
            part.group -= groups as u32;
        }
        self.groups -= groups;
        if self.parts.is_empty() {
            (self.parts, self.texts, self.bytes) = (Vec::new(), Vec::new(), 0);
        }
        Ok(given)
    }

    /// Parts as they are: a part that comes later may lie between two of them.
    fn unjoined(&self, parts: &[Part], groups: usize) -> Result<ArrayRef> {
        let mut rows = Rows::of(groups);
        for part in parts {
            rows.push(
                part.group,
                Session {
                    started: part.started,
                    ended: part.ended,
                    steps: part.steps,
                    path: self.path(part),
                    holder: self.holder(part),
                    logged_in: self.logged_in(part),
                },
            );
        }
        rows.finish()
    }

    /// Parts joined to sessions.
    fn joined(&self, parts: &[Part], groups: usize) -> Result<ArrayRef> {
        let mut rows = Rows::of(groups);
        let mut path = String::new();
        let mut start = 0;
        while let Some(first) = parts.get(start) {
            let (mut end, mut ended) = (start, i64::MIN);
            while let Some(part) = parts.get(end)
                && part.group == first.group
                && (end == start || part.started < ended.saturating_add(self.gap))
            {
                ended = ended.max(part.ended);
                end += 1;
            }
            let session = &parts[start..end];
            path.clear();
            for part in session {
                let (next, last) = (self.path(part), path.chars().last());
                path.push_str(last.and_then(|last| next.strip_prefix(last)).unwrap_or(next));
            }
            let known =
                session.iter().filter(|part| self.logged_in(part)).filter_map(|part| self.holder(part));
            let holder = known.max().or_else(|| session.iter().filter_map(|part| self.holder(part)).max());
            rows.push(
                first.group,
                Session {
                    started: first.started,
                    ended,
                    steps: session.iter().map(|part| part.steps).sum(),
                    path: &path,
                    holder,
                    logged_in: session.iter().any(|part| self.logged_in(part)),
                },
            );
            start = end;
        }
        rows.finish()
    }
}

fn text_bytes(texts: &StringArray) -> usize {
    let offsets = texts.value_offsets();
    size_of_val(offsets) + (offsets[texts.len()] - offsets[0]) as usize
}

/// A session, or a part of one.
struct Session<'a> {
    started: i64,
    ended: i64,
    steps: i64,
    path: &'a str,
    holder: Option<&'a str>,
    logged_in: bool,
}

/// The columns of sessions and of whose they are.
struct Rows {
    lengths: Vec<usize>,
    sessions: Sessions,
    holders: StringBuilder,
    logged_in: BooleanBuilder,
}

impl Rows {
    fn of(groups: usize) -> Self {
        Self {
            lengths: vec![0; groups],
            sessions: Sessions::default(),
            holders: StringBuilder::new(),
            logged_in: BooleanBuilder::new(),
        }
    }

    fn push(&mut self, group: u32, session: Session) {
        self.lengths[group as usize] += 1;
        self.sessions.push(session.started, session.ended, session.steps, session.path);
        self.holders.append_option(session.holder);
        self.logged_in.append_value(session.logged_in);
    }

    fn finish(mut self) -> Result<ArrayRef> {
        let mut columns = self.sessions.columns();
        columns.push(Arc::new(self.holders.finish()));
        columns.push(Arc::new(self.logged_in.finish()));
        lists(self.lengths, Arc::new(StructArray::try_new(fields(), columns, None)?))
    }
}

impl States for Parts {
    fn fresh(&self) -> Self {
        Self::of(self.gap, self.order.clone())
    }

    fn grow(&mut self, groups: usize) -> Result<()> {
        expect_countable(groups)?;
        self.groups = self.groups.max(groups);
        Ok(())
    }

    /// Takes lists of parts into the groups of their rows. Holders are columns of their own, or lie in the items.
    fn read(
        &mut self,
        columns: &[ArrayRef],
        group: impl Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let Some(lists) = columns.first().and_then(|column| column.as_list_opt::<i32>()) else {
            return internal_err!("join_sessions: expected lists");
        };
        let parts = items(lists);
        let Some(parts) = parts.as_struct_opt() else {
            return internal_err!("join_sessions: expected structs");
        };
        let (by_row, holders, logged_in) = match columns {
            [_, holders, logged_in, ..] => (true, holders, logged_in),
            _ if parts.num_columns() == fields().len() => (false, parts.column(4), parts.column(5)),
            _ => return internal_err!("join_sessions: expected holders"),
        };
        let (Some(started), Some(ended), Some(steps), Some(paths), Some(holders), Some(logged_in)) = (
            parts.column(0).as_primitive_opt::<TimestampMicrosecondType>(),
            parts.column(1).as_primitive_opt::<TimestampMicrosecondType>(),
            parts.column(2).as_primitive_opt::<Int64Type>(),
            parts.column(3).as_string_opt::<i32>(),
            holders.as_string_opt::<i32>(),
            logged_in.as_boolean_opt(),
        ) else {
            return internal_err!("join_sessions: unexpected columns");
        };
        let whole = |item: usize| parts.is_valid(item) && started.is_valid(item) && ended.is_valid(item);
        let texts = self.texts.len() as u32;
        for (row, places) in places(lists).filter(|(row, _)| keeps(filter, *row)) {
            for item in places.filter(|item| whole(*item)) {
                self.parts.push(Part {
                    group: group(row) as u32,
                    texts,
                    item: item as u32,
                    row: if by_row { row } else { item } as u32,
                    started: started.value(item),
                    ended: ended.value(item),
                    steps: if steps.is_valid(item) { steps.value(item) } else { 0 },
                });
            }
        }
        let (paths, holders, logged_in) = (paths.clone(), holders.clone(), logged_in.clone());
        self.bytes +=
            text_bytes(&paths) + text_bytes(&holders) + logged_in.len().div_ceil(4) + size_of::<Texts>();
        self.texts.push(Texts { paths, holders, logged_in });
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], group: impl Fn(usize) -> usize) -> Result<()> {
        self.read(states, group, None)
    }

    fn take_states(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        // their order in time is for who joins them
        self.parts.sort_by_key(|part| part.group);
        Ok(vec![self.take(emit, Self::unjoined)?])
    }

    fn take_results(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.sort();
        self.take(emit, Self::joined)
    }

    fn result(&mut self) -> Result<ScalarValue> {
        self.sort();
        ScalarValue::try_from_array(&self.joined(&self.parts, 1)?, 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.parts.capacity() * size_of::<Part>() + self.bytes
    }
}
