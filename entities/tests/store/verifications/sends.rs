//! Starts and resends are part of a debit, and are taken back if no gateway accepts the call.

use std::sync::Arc;

use nexo_domain::customer_fields::{CustomerFields, Metadata, Reference};
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use nexo_domain::verification::code::CodeLength;
use nexo_domain::verification::{MAX_SENDS, Status};
use nexo_entities::store::ledger::posting::{Debit, DebitOutcome, SendKind};
use nexo_entities::store::verifications::pages::VerificationFilter;
use sea_orm::ConnectionTrait;

use super::{LATER_MS, TTL_MS, get, id, not_routed, resend, start, status};
use crate::database::Database;
use crate::world::{COST, NOW, World, account, credit, otp_at, paid};

on_both!(
    a_start_is_written_with_its_debit,
    a_refused_start_leaves_nothing_and_cancels_nothing,
    a_start_cancels_the_pending_one_of_its_account_phone_and_realm,
    a_start_that_no_gateway_accepts_is_taken_back,
    a_resend_counts_up_to_the_limit_and_one_that_no_gateway_accepts_does_not,
    a_resend_of_a_closed_one_is_refused_alone,
    an_approval_while_a_call_is_placed_marks_the_call_that_was_heard,
    of_concurrent_resends_by_two_nodes_five_calls_are_made,
    old_verifications_are_masked_and_those_of_test_keys_deleted,
);

async fn a_start_is_written_with_its_debit(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let mut debit = start(world.account, 1, NOW);
    debit.fields = CustomerFields {
        reference: Reference::parse("order-42"),
        metadata: Metadata::parse(r#"{"a":"b"}"#).ok(),
    };
    let send = debit.verification.as_mut().unwrap();
    let code_length = CodeLength::new(8).unwrap();
    send.kind = SendKind::Start { code_length, language: Some(Language::En) };
    paid(&world.debit(std::slice::from_ref(&debit)).await[0]);
    let written = get(&world, id(&debit)).await.unwrap();
    assert_eq!((written.code_length, written.language), (code_length, Some(Language::En)));
    assert_eq!(
        (written.state.status, written.state.attempts, written.state.sends),
        (Status::Pending, 0, 1)
    );
    assert_eq!((written.created_at_ms, written.state.expires_at_ms), (NOW, NOW + TTL_MS));
    assert_eq!((written.phone.to_string(), written.test), (debit.phone.to_string(), false));
    assert_eq!((&written.fields, written.last_delivery_id), (&debit.fields, debit.delivery_id));
    let delivery = world.store.deliveries().get(world.account, debit.delivery_id).await.unwrap();
    assert_eq!(delivery.unwrap().verification_id, Some(id(&debit)));
    let sends = world.store.verifications().sends([id(&debit)]).await.unwrap();
    assert_eq!(sends[&id(&debit)].len(), 1);
    // An OTP with a code of the customer's own belongs to none.
    let own = otp_at(world.account, 2, NOW);
    paid(&world.debit(std::slice::from_ref(&own)).await[0]);
    let delivery = world.store.deliveries().get(world.account, own.delivery_id).await.unwrap();
    assert_eq!(delivery.unwrap().verification_id, None);
    // Another account sees nothing of it.
    let other = account(&world.store, "b@example.com").await;
    let foreign = world.store.verifications().get(other, id(&debit)).await.unwrap();
    assert_eq!(foreign, None);
    let all = VerificationFilter::default();
    let page = world.store.verifications().page(other, &all, None, 9, NOW).await.unwrap();
    assert!(page.verifications.is_empty());
    world.assert_sound().await;
}

async fn a_refused_start_leaves_nothing_and_cancels_nothing(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 2 * COST).await;
    let first = start(world.account, 1, NOW);
    paid(&world.debit(std::slice::from_ref(&first)).await[0]);
    let held = start(world.account, 1, NOW + 1);
    let short = start(world.account, 1, NOW + LATER_MS);
    let outcomes = world.debit(std::slice::from_ref(&held)).await;
    assert!(matches!(outcomes[0], DebitOutcome::WindowHeld { .. }), "{outcomes:?}");
    paid(&world.debit(&[otp_at(world.account, 2, NOW)]).await[0]);
    let outcomes = world.debit(std::slice::from_ref(&short)).await;
    assert_eq!(outcomes, [DebitOutcome::FundsShort { total: Micros::ZERO }]);
    assert_eq!(status(&world, id(&held)).await, None);
    assert_eq!(status(&world, id(&short)).await, None);
    assert_eq!(status(&world, id(&first)).await, Some(Status::Pending));
    world.assert_sound().await;
}

async fn a_start_cancels_the_pending_one_of_its_account_phone_and_realm(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 100 * COST).await;
    let other = account(&world.store, "b@example.com").await;
    credit(&world.store, other, nexo_domain::billing::ledger::Bucket::Balance, 10 * COST).await;
    let replaced = start(world.account, 1, NOW);
    let other_phone = start(world.account, 2, NOW);
    let test = Debit { test: true, cost: Micros::ZERO, ..start(world.account, 1, NOW) };
    let of_other = start(other, 1, NOW + LATER_MS);
    for debits in
        [vec![replaced.clone(), other_phone.clone(), test.clone()], vec![of_other.clone()]]
    {
        world.debit(&debits).await.iter().for_each(|outcome| {
            paid(outcome);
        });
    }
    assert_eq!(status(&world, id(&replaced)).await, Some(Status::Pending));
    let new = start(world.account, 1, NOW + 2 * LATER_MS);
    paid(&world.debit(std::slice::from_ref(&new)).await[0]);
    let canceled = get(&world, id(&replaced)).await.unwrap();
    assert_eq!(canceled.state.status, Status::Canceled);
    assert_eq!(canceled.closed_at_ms, Some(NOW + 2 * LATER_MS));
    assert_eq!(canceled.replaced_by, Some(id(&new)));
    for pending in [&new, &other_phone, &test] {
        assert_eq!(status(&world, id(pending)).await, Some(Status::Pending));
    }
    let of_other = world.store.verifications().get(other, id(&of_other)).await.unwrap();
    assert_eq!(of_other.unwrap().state.status, Status::Pending);
    // One that has expired stays as it is, for the job to mark.
    let late = start(world.account, 1, NOW + 2 * LATER_MS + TTL_MS);
    paid(&world.debit(std::slice::from_ref(&late)).await[0]);
    let expired = get(&world, id(&new)).await.unwrap();
    assert_eq!((expired.state.status, expired.replaced_by), (Status::Pending, None));
    world.assert_sound().await;
}

async fn a_start_that_no_gateway_accepts_is_taken_back(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let first = start(world.account, 1, NOW);
    paid(&world.debit(std::slice::from_ref(&first)).await[0]);
    let second = start(world.account, 1, NOW + LATER_MS);
    let outcome = world.debit(std::slice::from_ref(&second)).await;
    assert_eq!(status(&world, id(&first)).await, Some(Status::Canceled));
    let settlement = not_routed(&second, &outcome[0]);
    assert_eq!(world.settle(&[settlement.clone(), settlement.clone()]).await, [true, false]);
    assert_eq!(get(&world, id(&second)).await, None);
    let again = get(&world, id(&first)).await.unwrap();
    assert_eq!(
        (again.state.status, again.closed_at_ms, again.replaced_by),
        (Status::Pending, None, None)
    );
    let delivery = world.store.deliveries().get(world.account, second.delivery_id).await.unwrap();
    assert_eq!(delivery.unwrap().verification_id, None);
    // Settled again, also stepwise: nothing changes.
    assert_eq!(world.settle(&[settlement]).await, [false]);
    // The window is free, and in one transaction with the settlement another start may take it.
    let third = start(world.account, 1, NOW + LATER_MS + 2_000);
    let outcome = world.debit(std::slice::from_ref(&third)).await;
    let fourth = start(world.account, 1, NOW + LATER_MS + 2_500);
    let committed =
        world.commit(std::slice::from_ref(&fourth), &[not_routed(&third, &outcome[0])]).await;
    paid(&committed.debits[0]);
    assert_eq!(status(&world, id(&third)).await, None);
    assert_eq!(get(&world, id(&first)).await.unwrap().replaced_by, Some(id(&fourth)));
    world.assert_sound().await;
}

async fn a_resend_counts_up_to_the_limit_and_one_that_no_gateway_accepts_does_not(
    database: Arc<Database>,
) {
    let mut world = World::with_balance(&database, 20 * COST).await;
    let mut first = start(world.account, 1, NOW);
    first.verification.as_mut().unwrap().sent.expires_at_ms = NOW + 900_000;
    paid(&world.debit(std::slice::from_ref(&first)).await[0]);
    let mut at_ms = NOW;
    let mut last = first.delivery_id;
    for sends in 2..=MAX_SENDS {
        at_ms += LATER_MS;
        let refused = resend(&first, at_ms);
        let outcome = world.debit(std::slice::from_ref(&refused)).await;
        assert_eq!(get(&world, id(&first)).await.unwrap().state.sends, sends);
        world.settle(&[not_routed(&refused, &outcome[0])]).await;
        let back = get(&world, id(&first)).await.unwrap();
        assert_eq!((back.state.sends, back.last_delivery_id), (sends - 1, last));
        let next = resend(&first, at_ms + 2_000);
        paid(&world.debit(std::slice::from_ref(&next)).await[0]);
        last = next.delivery_id;
        let counted = get(&world, id(&first)).await.unwrap();
        assert_eq!((counted.state.sends, counted.last_delivery_id), (sends, last));
        at_ms += 2_000;
    }
    let one_more = resend(&first, at_ms + LATER_MS);
    assert_eq!(world.debit(&[one_more]).await, [DebitOutcome::NotResendable]);
    assert_eq!(get(&world, id(&first)).await.unwrap().state.sends, MAX_SENDS);
    let sends = world.store.verifications().sends([id(&first)]).await.unwrap();
    assert_eq!(sends[&id(&first)].len(), usize::from(MAX_SENDS));
    world.assert_sound().await;
}

async fn a_resend_of_a_closed_one_is_refused_alone(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 20 * COST).await;
    let closed = start(world.account, 1, NOW);
    let expired = start(world.account, 2, NOW);
    let open = start(world.account, 3, NOW);
    for outcome in world.debit(&[closed.clone(), expired.clone(), open.clone()]).await {
        paid(&outcome);
    }
    world.store.verifications().cancel(id(&closed), NOW + 1).await.unwrap().unwrap();
    let unknown = resend(&start(world.account, 4, NOW), NOW + LATER_MS);
    let late = resend(&expired, NOW + TTL_MS);
    let debits = [
        resend(&closed, NOW + LATER_MS),
        otp_at(world.account, 5, NOW + LATER_MS),
        resend(&open, NOW + LATER_MS),
        unknown,
        late,
    ];
    let before = world.held().await;
    let outcomes = world.debit(&debits).await;
    let refused = DebitOutcome::NotResendable;
    assert_eq!([outcomes[0], outcomes[3], outcomes[4]], [refused; 3]);
    paid(&outcomes[1]);
    paid(&outcomes[2]);
    let spent = before.total().get() - world.held().await.total().get();
    assert_eq!(spent, 2 * COST);
    assert_eq!(get(&world, id(&closed)).await.unwrap().state.sends, 1);
    assert_eq!(get(&world, id(&open)).await.unwrap().state.sends, 2);
    world.assert_sound().await;
}

async fn an_approval_while_a_call_is_placed_marks_the_call_that_was_heard(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 20 * COST).await;
    let first = start(world.account, 1, NOW);
    paid(&world.debit(std::slice::from_ref(&first)).await[0]);
    let second = resend(&first, NOW + LATER_MS);
    let outcome = world.debit(std::slice::from_ref(&second)).await;
    let at_ms = NOW + LATER_MS + 500;
    let verifications = world.store.verifications();
    // It was read before the resend.
    let stale = verifications.approve(id(&first), first.delivery_id, at_ms).await.unwrap();
    assert_eq!(stale, None);
    let approved = verifications.approve(id(&first), second.delivery_id, at_ms).await.unwrap();
    assert_eq!(approved.unwrap().verification.approved_at_ms(), Some(at_ms));
    let converted = async |world: &World, debit: &Debit| {
        let found = world.store.deliveries().get(world.account, debit.delivery_id).await.unwrap();
        found.unwrap().converted
    };
    assert_eq!(converted(&world, &first).await, None);
    assert_eq!(converted(&world, &second).await, Some(true));
    world.settle(&[not_routed(&second, &outcome[0])]).await;
    assert_eq!(converted(&world, &first).await, Some(true));
    assert_eq!(converted(&world, &second).await, None);
    let after = get(&world, id(&first)).await.unwrap();
    assert_eq!((after.state.status, after.state.sends), (Status::Approved, 1));
    world.assert_sound().await;
}

async fn of_concurrent_resends_by_two_nodes_five_calls_are_made(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 100 * COST).await;
    let first = start(world.account, 1, NOW);
    paid(&world.debit(std::slice::from_ref(&first)).await[0]);
    let mut nodes = Vec::new();
    for node in 0..2 {
        let mut node_world = world.beside(&database, &format!("node{node}")).await;
        let first = first.clone();
        nodes.push(tokio::spawn(async move {
            let mut posted = 0;
            for n in 1..=10 {
                // Each has a window of its own, as if the windows did not limit resends.
                let mut debit = resend(&first, NOW + n);
                (debit.phone, debit.window_from_ms) =
                    (crate::world::phone(100 + (node * 10 + n) as u32), NOW);
                let outcome = node_world.debit(&[debit]).await[0];
                match outcome {
                    DebitOutcome::Posted { .. } => posted += 1,
                    DebitOutcome::NotResendable => {}
                    other => panic!("{other:?}"),
                }
            }
            posted
        }));
    }
    let mut posted = 0;
    for node in nodes {
        posted += node.await.unwrap();
    }
    assert_eq!(posted, MAX_SENDS - 1);
    assert_eq!(get(&world, id(&first)).await.unwrap().state.sends, MAX_SENDS);
    world.assert_sound().await;
}

async fn old_verifications_are_masked_and_those_of_test_keys_deleted(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 20 * COST).await;
    let mut old = start(world.account, 1, NOW);
    old.fields.reference = Reference::parse(&format!("for {}", old.phone.national()));
    let pending = start(world.account, 2, NOW);
    let test = Debit { test: true, cost: Micros::ZERO, ..start(world.account, 3, NOW) };
    for outcome in world.debit(&[old.clone(), pending.clone(), test.clone()]).await {
        paid(&outcome);
    }
    let verifications = world.store.verifications();
    for closed in [&old, &test] {
        verifications.cancel(id(closed), NOW + 1).await.unwrap().unwrap();
    }
    assert_eq!(verifications.delete_tests(NOW, 9).await.unwrap(), 0);
    assert_eq!(verifications.delete_tests(NOW + 1, 9).await.unwrap(), 1);
    assert_eq!(get(&world, id(&test)).await, None);
    assert_eq!(verifications.mask_phones(None, NOW, 9).await.unwrap().verifications, 0);
    let masked = verifications.mask_phones(None, NOW + 1, 9).await.unwrap();
    assert_eq!((masked.verifications, masked.next), (1, None));
    let written = get(&world, id(&old)).await.unwrap();
    assert_eq!(written.phone.to_string(), old.phone.masked());
    let reference = written.fields.reference.unwrap();
    assert!(!reference.as_str().contains(&old.phone.national()), "{reference}");
    assert_eq!(
        get(&world, id(&pending)).await.unwrap().phone.to_string(),
        pending.phone.to_string()
    );
    assert_eq!(verifications.mask_phones(None, NOW + 1, 9).await.unwrap().verifications, 0);
    let everything = "SELECT COUNT(*) FROM verifications WHERE phone LIKE '%*%'";
    let count = sea_orm::Statement::from_string(
        world.store.connection().get_database_backend(),
        everything,
    );
    let row = world.store.connection().query_one_raw(count).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 1);
    world.assert_sound().await;
}
