//! The truth about a world: persons with their personas and traits, whose account and device is whose, which rows are
//! mess, what texts mean, and how well traits could be found.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, StringBuilder,
};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;

use super::events::ascii;
use super::manners::{CLASSES, Manner};
use super::mess::{Key, Planted};
use super::messages::CHANNELS;
use super::observed::Labels;
use super::persons::{
    Person, SHARED_DEVICE_SLOT, TRAITS, account_number, device_number, household, persona_name,
};
use super::world::{World, account_text, device_text};
use super::write;
use crate::{Context, Result};

/// The truth tables; each is one file `NAME.parquet` under the root.
pub const TABLES: [&str; 9] = [
    "truth/persons",
    "truth/accounts",
    "truth/devices",
    "truth/traits",
    "truth/mess",
    "truth/texts",
    "truth/shared_sessions",
    "truth/ceilings",
    "truth/rising_terms",
];

/// Rows of persons, accounts and devices for a chunk of persons. A device that members of a household share has a row
/// for each of them.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn of_chunk(world: &World, chunk: u32) -> Result<Vec<(&'static str, RecordBatch)>> {
    let persons = world.chunk(chunk);
    Ok(vec![
        ("truth/persons", persons_batch(world, persons.clone())?),
        ("truth/accounts", accounts_batch(world, persons.clone())?),
        ("truth/devices", devices_batch(world, persons.clone())?),
        ("truth/traits", traits_batch(world, persons)?),
    ])
}

fn persons_batch(world: &World, persons: std::ops::Range<u32>) -> Result<RecordBatch> {
    let mut personas = StringBuilder::new();
    let mut traits: [Vec<f64>; TRAITS] = Default::default();
    for person in persons.clone() {
        let drawn = Person::draw(&world.settings, person);
        personas.append_value(persona_name(drawn.persona));
        for (column, value) in traits.iter_mut().zip(drawn.traits) {
            column.push(value);
        }
    }
    let ids: Int64Array = persons.map(i64::from).collect();
    let mut columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(personas.finish())];
    columns.extend(traits.map(|values| Arc::new(Float64Array::from(values)) as ArrayRef));
    RecordBatch::try_new(write::schema("truth/persons"), columns).context("building truth/persons")
}

fn accounts_batch(world: &World, persons: std::ops::Range<u32>) -> Result<RecordBatch> {
    let (mut ids, mut systems, mut owners) = (StringBuilder::new(), StringBuilder::new(), Vec::new());
    for person in persons {
        for (slot, account) in (0..).zip(world.people.accounts(person)) {
            ids.append_value(ascii(&account_text(account_number(account.system, person, slot))));
            systems.append_value(account.system.name());
            owners.push(i64::from(person));
        }
    }
    let columns: Vec<ArrayRef> =
        vec![Arc::new(ids.finish()), Arc::new(systems.finish()), Arc::new(Int64Array::from(owners))];
    RecordBatch::try_new(write::schema("truth/accounts"), columns).context("building truth/accounts")
}

fn devices_batch(world: &World, persons: std::ops::Range<u32>) -> Result<RecordBatch> {
    let (mut ids, mut owners) = (StringBuilder::new(), Vec::new());
    for person in persons {
        let habits = &world.people.habits[person as usize];
        let own = (0..u32::from(habits.devices)).map(|slot| device_number(person, slot));
        let head = household(world.settings.seed, person).head;
        let shared = habits.shares.then(|| device_number(head, SHARED_DEVICE_SLOT));
        for device in own.chain(shared) {
            ids.append_value(ascii(&device_text(device)));
            owners.push(i64::from(person));
        }
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(ids.finish()), Arc::new(Int64Array::from(owners))];
    RecordBatch::try_new(write::schema("truth/devices"), columns).context("building truth/devices")
}

fn traits_batch(world: &World, persons: std::ops::Range<u32>) -> Result<RecordBatch> {
    let drawn: Vec<(Manner, Labels, f32)> = persons
        .clone()
        .map(|person| {
            let drawn = Person::draw(&world.settings, person);
            (world.people.manners[person as usize], Labels::of(&drawn), drawn.habits.discount)
        })
        .collect();
    let flags = |flag: &dyn Fn(&Manner, &Labels) -> bool| -> ArrayRef {
        Arc::new(drawn.iter().map(|(manner, labels, _)| Some(flag(manner, labels))).collect::<BooleanArray>())
    };
    let rates = |rate: &dyn Fn(&Manner) -> f32| -> ArrayRef {
        Arc::new(drawn.iter().map(|(manner, ..)| f64::from(rate(manner))).collect::<Float64Array>())
    };
    let mut columns: Vec<ArrayRef> = vec![Arc::new(persons.map(i64::from).collect::<Int64Array>())];
    columns.extend((0..CLASSES.len()).map(|class| flags(&|manner, _| manner.classes[class])));
    columns.extend([
        flags(&|_, labels| labels.price_sensitive),
        flags(&|_, labels| labels.churned),
        flags(&|_, labels| labels.seasonal),
        Arc::new(drawn.iter().map(|(m, ..)| Some(CHANNELS[usize::from(m.channel)])).collect::<StringArray>()),
        rates(&|manner| manner.parks),
        rates(&|manner| manner.revisits),
        rates(&|manner| manner.rushes),
        rates(&|manner| manner.commutes),
        rates(&|manner| manner.waits),
        Arc::new(drawn.iter().map(|(.., discount)| f64::from(*discount)).collect::<Float64Array>()),
    ]);
    columns.extend((0..CHANNELS.len()).map(|channel| rates(&|manner| manner.opens[channel])));
    columns
        .push(Arc::new(drawn.iter().map(|(_, labels, _)| labels.activity_at_end).collect::<Float64Array>()));
    columns.push(rates(&|manner| manner.uplift));
    RecordBatch::try_new(write::schema("truth/traits"), columns).context("building truth/traits")
}

/// Rows of `truth/mess`.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn mess_batch(planted: &[Planted]) -> Result<RecordBatch> {
    let mut keys = StringBuilder::new();
    for row in planted {
        match &row.key {
            Key::Id(id) => keys.append_value(id.to_string()),
            Key::Line(order, line) => keys.append_value(format!("{order}-{line}")),
            Key::Text(account) => keys.append_value(account),
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(planted.iter().map(|row| Some(row.table)).collect::<StringArray>()),
        Arc::new(keys.finish()),
        Arc::new(planted.iter().map(|row| Some(row.kind.name())).collect::<StringArray>()),
        Arc::new(planted.iter().map(|row| Some(row.kind.visible())).collect::<BooleanArray>()),
    ];
    RecordBatch::try_new(write::schema("truth/mess"), columns).context("building truth/mess")
}

/// A truth table being written, batch after batch, so that memory stays bounded at any scale.
pub struct TruthFile {
    /// The table, as in the summary.
    pub table: &'static str,
    /// Rows so far.
    pub rows: u64,
    writer: AsyncArrowWriter<BufWriter>,
}

impl TruthFile {
    /// Opens the file of a table.
    ///
    /// # Errors
    /// When Parquet refuses the schema, which would be a defect.
    pub fn create(store: Arc<dyn ObjectStore>, root: &Path, table: &'static str) -> Result<Self> {
        let mut path = Path::from_iter(root.parts().chain(Path::from(table).parts()));
        path = Path::from(format!("{path}.parquet"));
        let schema = write::schema(table);
        let properties = write::properties(&schema);
        let writer = AsyncArrowWriter::try_new(BufWriter::new(store, path), schema, Some(properties))
            .context(format!("opening {table}"))?;
        Ok(TruthFile { table, rows: 0, writer })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).await.context(format!("writing {}", self.table))
    }

    /// Finishes the file; returns its size in bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn close(mut self) -> Result<u64> {
        self.writer.finish().await.context(format!("closing {}", self.table))?;
        Ok(self.writer.bytes_written() as u64)
    }
}
