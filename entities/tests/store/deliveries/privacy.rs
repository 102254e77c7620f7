//! Masking of phone numbers: old deliveries lose them in every table, recent ones keep them.

use std::collections::HashMap;
use std::sync::Arc;

use nexo_domain::customer_fields::{CustomerFields, Metadata, Reference};
use nexo_domain::ids::DeliveryId;
use nexo_domain::webhook::Event;
use nexo_entities::store::deliveries::pages::DeliveryFilter;
use nexo_entities::store::ledger::posting::{Debit, Settlement};
use nexo_entities::store::webhooks::attempts::{ClaimLimits, FinishedAttempt};
use sea_orm::ConnectionTrait;
use uuid::{NoContext, Timestamp, Uuid};

use crate::database::Database;
use crate::world::{COST, NOW, World, delivered, endpoint, otp, paid, phone};

on_both!(old_phones_are_masked_in_every_table, interrupted_masking_is_continued,);

const DAY_MS: i64 = 86_400_000;

/// A debit accepted `days` before [`NOW`], with an id of that time.
fn old(world: &World, number: u32, days: i64) -> Debit {
    let at = NOW - days * DAY_MS;
    let (seconds, nanos) = ((at / 1000) as u64, (at % 1000) as u32 * 1_000_000);
    let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanos));
    let otp = otp(world.account, number);
    let metadata = format!(r#"{{"to":"{}"}}"#, otp.phone.national());
    Debit {
        delivery_id: DeliveryId(id),
        fields: CustomerFields {
            reference: Reference::parse(&otp.phone.to_string()),
            metadata: Metadata::parse(&metadata).ok(),
        },
        created_at_ms: at,
        window_from_ms: at,
        window_until_ms: at + 30_000,
        ..otp
    }
}

fn ended(debit: &Debit, settlement: Settlement) -> Settlement {
    let event = Event {
        delivery_id: debit.delivery_id,
        phone: debit.phone,
        carrier: debit.carrier,
        status: settlement.status,
        cost: debit.cost,
        error_code: None,
        created_at_ms: debit.created_at_ms,
        completed_at_ms: debit.created_at_ms + 20_000,
        fields: debit.fields.clone(),
    };
    Settlement { completed_at_ms: debit.created_at_ms + 20_000, event: Some(event), ..settlement }
}

/// The text of every column that may contain a phone number.
async fn texts(world: &World) -> String {
    let mut all = String::new();
    for (table, column) in [
        ("deliveries", "phone"),
        ("deliveries", "reference"),
        ("deliveries", "metadata"),
        ("webhook_attempts", "body"),
        ("webhook_attempts", "response_head"),
        ("webhook_attempts", "error"),
    ] {
        let select = format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL");
        let connection = world.store.connection();
        let backend = connection.get_database_backend();
        let statement = sea_orm::Statement::from_string(backend, select);
        for row in connection.query_all_raw(statement).await.unwrap() {
            all.push_str(&row.try_get_by_index::<String>(0).unwrap());
            all.push('\n');
        }
    }
    all
}

async fn old_phones_are_masked_in_every_table(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    endpoint(&world.store, world.account, "https://example.com").await;
    let debits = [
        old(&world, 1_234_567, 40),
        old(&world, 7_654_321, 31),
        // Old, but not finished.
        old(&world, 1_111_111, 35),
        // One day old.
        old(&world, 2_222_222, 1),
    ];
    let outcomes = world.debit(&debits).await;
    let mut ends = Vec::new();
    for place in [0, 1, 3] {
        let debit = &debits[place];
        ends.push(ended(debit, delivered(debit, paid(&outcomes[place]))));
    }
    world.settle(&ends).await;
    let limits = ClaimLimits { attempts: 10, per_endpoint: 10 };
    let node = world.node.clone();
    let claimed = world.store.webhooks().claim(&node, &HashMap::new(), limits, NOW).await;
    // The receivers' responses contain the number in different formats.
    let answered: Vec<FinishedAttempt> = claimed
        .unwrap()
        .iter()
        .zip([phone(1_234_567).national(), phone(7_654_321).to_string()])
        .map(|(attempt, number)| FinishedAttempt {
            id: attempt.id,
            delivered: false,
            status_code: Some(422),
            duration_ms: 5,
            response_head: Some(format!("no such customer: {number}")),
            error: Some(format!("422 for {number}")),
            finished_at_ms: NOW,
        })
        .collect();
    world.store.webhooks().finish(&answered).await.unwrap();

    let before_ms = NOW - 30 * DAY_MS;
    let masked = world.store.deliveries().mask_phones(None, before_ms, 100).await.unwrap();
    assert_eq!((masked.deliveries, masked.next), (2, None));
    let stored = texts(&world).await;
    for number in [1_234_567, 7_654_321] {
        assert!(!stored.contains(&phone(number).international()), "{stored}");
        assert!(!stored.contains(&phone(number).national()), "{stored}");
    }
    for kept in [1_111_111, 2_222_222] {
        assert!(stored.contains(&phone(kept).to_string()), "{stored}");
    }
    assert!(stored.contains("\"phone\":\"+8498***4567\""), "{stored}");
    assert!(stored.contains("no such customer: 098***4567"), "{stored}");

    let read = world.store.deliveries().get(world.account, debits[0].delivery_id);
    let read = read.await.unwrap().unwrap();
    assert_eq!(read.phone.to_string(), "+8498***4567");
    assert_eq!(read.phone.whole(), None);
    for (number, found) in [(1_234_567, 0), (2_222_222, 1)] {
        let filter = DeliveryFilter { phone: Some(phone(number)), ..DeliveryFilter::default() };
        let page = world.store.deliveries().page(world.account, &filter, None, 9);
        assert_eq!(page.await.unwrap().deliveries.len(), found, "{number}");
    }
    let again = world.store.deliveries().mask_phones(None, before_ms, 100).await.unwrap();
    assert_eq!((again.deliveries, again.next), (0, None));
    // The unfinished delivery is masked once it ends.
    world.settle(&[ended(&debits[2], delivered(&debits[2], paid(&outcomes[2])))]).await;
    let rest = world.store.deliveries().mask_phones(None, before_ms, 100).await.unwrap();
    assert_eq!(rest.deliveries, 1);
}

async fn interrupted_masking_is_continued(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    let debits: Vec<Debit> = (0..25).map(|n| old(&world, n, 40)).collect();
    let outcomes = world.debit(&debits).await;
    let ends: Vec<Settlement> = debits
        .iter()
        .zip(&outcomes)
        .map(|(debit, outcome)| ended(debit, delivered(debit, paid(outcome))))
        .collect();
    world.settle(&ends).await;
    let first = world.store.deliveries().mask_phones(None, NOW, 10).await.unwrap();
    assert_eq!(first.deliveries, 10);
    // Another process does not know how far the first one got.
    let other = database.open().await;
    let mut after = None;
    let mut masked = 0;
    loop {
        let batch = other.deliveries().mask_phones(after, NOW, 10).await.unwrap();
        masked += batch.deliveries;
        after = batch.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(masked, 15);
    let stored = texts(&world).await;
    // In the phone, the reference and the metadata of each.
    assert_eq!(stored.matches("***").count(), 3 * 25);
    world.assert_sound_at(NOW).await;
}
