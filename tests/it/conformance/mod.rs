//! What the store promises, asked of each database: one list of tests, run on all of them.

mod audit;
mod census;
mod challenges;
mod commits;
mod copies;
#[cfg(feature = "crash-test")]
mod crash;
mod domains;
mod doors;
mod drafts;
mod factors;
mod hand;
mod jobs;
mod lanes;
mod mails;
mod model;
mod nodes;
mod people;
mod sealed;
mod server;
mod sqlite_only;
mod tests_of_addresses;

use karamail::model::{EmailAddress, Language, MailId, MemberId, OrgId, Timestamp, Via};
use karamail::queue::{Class, Content, NewJob};
use karamail::store::{Event, Location, NewMail, NewMember, Observer, Options, Store, StoreError, Tx};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

pub use server::{schema, schema_of, sql};

/// A database of one test's own.
pub struct Place {
    location: Location,
    _folder: Option<tempfile::TempDir>,
}

impl Place {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { location: Location::Sqlite(folder.path().join("karamail.db")), _folder: Some(folder) }
    }

    fn postgres() -> Self {
        Self { location: Location::Postgres(schema()), _folder: None }
    }

    /// Another empty one of the same kind.
    fn another(&self) -> Self {
        match self.location {
            Location::Sqlite(_) => Self::sqlite(),
            Location::Postgres(_) => Self::postgres(),
        }
    }

    async fn open(&self) -> Store {
        Store::open(Options::new(self.location.clone())).await.unwrap()
    }

    /// Opens it with somebody who keeps the names of events, one list for each commit.
    async fn open_heard(&self) -> (Store, Arc<Mutex<Vec<Vec<String>>>>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&heard);
        let observer: Observer = Arc::new(move |events: &[Event]| {
            into.lock().unwrap().push(events.iter().map(|event| event.name.to_string()).collect());
        });
        (Store::open(Options::new(self.location.clone()).observed_by(observer)).await.unwrap(), heard)
    }

    /// Runs a statement past the store, on a connection of the test's own.
    fn sql(&self, text: &str) {
        match &self.location {
            Location::Sqlite(path) => rusqlite::Connection::open(path).unwrap().execute_batch(text).unwrap(),
            Location::Postgres(url) => {
                drop(sql(&format!("SET search_path = {}; {text}", schema_of(url))));
            }
        }
    }
}

macro_rules! conformance {
    ($($module:ident::$name:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$module::$name(super::Place::sqlite()).await;
                }
            )*
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$module::$name(super::Place::postgres()).await;
                }
            )*
        }
    };
}

conformance![
    commits::what_was_committed_is_there_after_a_restart,
    commits::work_that_refuses_is_undone_alone,
    commits::work_that_panics_is_undone_alone,
    commits::an_error_that_is_shrugged_off_keeps_nothing,
    commits::a_reader_does_not_see_what_is_not_committed,
    commits::a_reader_cannot_write,
    commits::a_reader_sees_one_snapshot,
    commits::the_observer_hears_of_exactly_what_was_kept,
    commits::an_observer_that_panics_stops_nobody,
    commits::closing_finishes_what_waits_and_refuses_the_rest,
    commits::a_database_of_a_later_program_is_refused,
    commits::a_schema_that_was_tampered_with_is_refused,
    commits::a_database_of_the_first_program_is_brought_up_to_date,
    commits::opening_again_applies_nothing_twice,
    copies::a_schema_is_looked_at_without_being_made_and_brought_up_to_date_once,
    mails::a_mail_is_found_again,
    mails::the_same_mail_comes_for_the_first_time_once,
    mails::fingerprints_are_forgotten_oldest_first_in_steps,
    mails::the_log_is_read_on_page_by_page,
    mails::events_are_forgotten_oldest_first_in_steps,
    mails::kept_mails_lose_their_bytes_oldest_first_in_steps,
    mails::used_links_are_forgotten_oldest_first_in_steps,
    mails::a_budget_is_remembered_for_its_scope_and_key,
    mails::a_budget_is_not_overdrawn_by_mails_side_by_side,
    mails::a_registration_is_open_once_per_address,
    mails::mails_side_by_side_open_one_registration,
    mails::an_expired_registration_makes_room,
    mails::a_renewed_registration_lives_longer,
    mails::a_registration_is_finished_once,
    mails::a_link_is_used_once_however_many_press_it,
    mails::events_are_found_by_what_they_happened_to,
    mails::what_strangers_send_is_kept_as_text,
    jobs::a_job_is_found_as_it_was_ordered,
    jobs::a_cause_that_was_not_recorded_orders_nothing,
    jobs::claims_go_by_class_and_then_by_due,
    jobs::a_job_that_failed_queues_up_behind_those_due_before_it,
    jobs::what_is_not_due_is_not_claimed,
    jobs::a_claim_is_kept_for_longer_by_who_holds_it,
    jobs::a_job_whose_time_is_over_is_claimed_as_any_other,
    jobs::a_deferred_job_counts_its_attempt_and_keeps_the_reply,
    jobs::an_ended_job_is_in_history_and_nowhere_else,
    jobs::an_end_without_a_server_counts_no_attempt,
    jobs::a_job_ends_in_an_end,
    jobs::an_unknown_end_waits_for_its_second_try_or_its_time,
    jobs::a_late_settlement_is_refused,
    jobs::a_settlement_by_somebody_else_is_refused,
    jobs::a_released_job_is_unsent,
    jobs::claims_whose_time_is_over_are_given_back,
    jobs::it_is_seen_that_a_claim_is_over,
    jobs::at_the_start_of_the_only_node_all_claims_are_given_back,
    jobs::lists_are_narrowed_by_each_condition,
    jobs::waiting_jobs_are_counted_by_class_and_state,
    jobs::history_is_trimmed_oldest_first_in_steps,
    jobs::the_next_due_moment_is_that_of_what_waits,
    people::an_organisation_is_added_once,
    people::an_organisation_changes_only_what_is_given,
    people::a_member_is_found_by_id_in_any_case,
    people::importing_again_keeps_a_chosen_password,
    people::importing_again_keeps_a_sealed_password,
    people::importing_again_fills_in_a_missing_password,
    people::importing_again_keeps_addresses_where_the_file_is_blank,
    people::members_are_listed_page_by_page,
    people::an_address_has_its_holders,
    people::a_new_password_wipes_the_start_password,
    people::what_is_known_of_an_address_is_replaced,
    people::suppressed_addresses_are_told_listed_and_cleared,
    people::a_secret_belongs_to_its_purpose_and_owner,
    people::a_login_gate_opens_for_one_at_a_time_and_longer_each_time,
    people::old_failures_are_forgotten_and_recent_ones_are_not,
    people::many_guesses_at_once_are_judged_once_per_open_moment,
    people::a_right_password_takes_the_failures_away,
    people::tries_for_unknown_accounts_are_counted_until_they_are_taken,
    people::tries_for_an_account_are_counted_wherever_they_come_from_and_none_is_lost,
    people::tries_are_counted_anew_after_a_quiet_time_and_forgotten_in_steps,
    people::a_gate_is_looked_at_without_a_try,
    people::a_clock_a_moment_behind_opens_no_gate,
    people::a_clock_set_back_locks_nobody_out,
    people::a_session_lives_until_it_is_ended,
    people::a_session_is_found_by_the_name_it_had_before,
    people::codes_go_on_with_their_session_while_they_are_open,
    people::the_other_sessions_of_a_member_are_ended,
    people::old_sessions_are_trimmed_in_steps,
    doors::after_a_hundred_failures_side_by_side_a_strangers_right_password_waits_for_a_code,
    doors::a_login_judged_before_the_password_changed_opens_nothing,
    doors::a_password_typed_once_more_does_not_bring_back_a_session_that_a_change_ends,
    drafts::a_member_has_one_draft_for_one_page,
    drafts::old_drafts_are_trimmed_in_steps,
    sealed::what_lies_sealed_is_found_by_its_key_page_by_page,
    sealed::a_value_is_replaced_only_where_it_is_still_the_one_that_was_read,
    sealed::whatever_happens_while_values_are_sealed_anew_the_last_word_stays,
    people::a_password_taken_away_makes_room_for_a_start_password,
    factors::both_second_factors_stand_beside_each_other,
    factors::a_step_of_the_app_counts_once_however_many_ask,
    factors::second_factors_end_at_their_moment_and_a_new_one_stays,
    factors::a_member_has_one_backup_code_which_is_used_once,
    factors::of_ten_backup_codes_each_is_used_once_and_none_comes_while_one_is_left,
    factors::backup_codes_give_way_to_one_of_many_until_they_have_come_so_far,
    factors::a_reset_leaves_nothing_of_the_second_factors,
    tests_of_addresses::a_test_is_found_as_it_was_ordered,
    tests_of_addresses::a_members_tests_are_given_the_last_one_first,
    tests_of_addresses::tests_are_counted_by_member_and_by_address_whoever_ordered_them,
    tests_of_addresses::tests_ordered_side_by_side_are_counted_one_by_one,
    tests_of_addresses::a_test_is_opened_and_arrives_once,
    tests_of_addresses::tests_are_forgotten_oldest_first_in_steps,
    tests_of_addresses::the_last_registration_of_a_members_address_is_found,
    challenges::r040_of_ten_thousand_guesses_at_once_exactly_five_are_judged,
    challenges::a_session_has_one_code_open_for_a_purpose,
    challenges::r036_of_orders_at_once_one_is_sent_for_a_member_and_for_an_address,
    challenges::codes_and_wrong_tries_are_forgotten_oldest_first_in_steps,
    audit::entries_written_side_by_side_make_one_chain,
    audit::an_entry_that_was_changed_or_taken_out_breaks_the_chain,
    audit::the_entries_of_a_member_are_listed_page_by_page,
    audit::the_oldest_entries_are_taken_away_step_by_step_and_what_is_left_proves_itself,
    audit::what_was_taken_away_without_an_entry_about_it_is_seen,
    lanes::a_claim_for_some_domains_takes_what_was_due_first_among_them,
    lanes::a_claim_for_many_domains_takes_from_all_of_them,
    lanes::a_claim_for_some_domains_leaves_alone_what_others_hold,
    lanes::the_backlog_names_each_domain_and_its_first_due_moment,
    lanes::what_can_only_end_is_claimed_even_where_it_is_held,
    lanes::a_domain_that_answers_again_has_its_jobs_woken,
    lanes::no_more_is_woken_than_was_asked_for,
    hand::everything_given_has_to_fit_and_nothing_given_fits_nothing,
    hand::what_is_held_is_not_sent_until_it_is_let_go_and_its_wait_is_added_up,
    hand::what_is_being_sent_is_left_alone_and_counted,
    hand::a_retry_makes_due_what_waits_but_never_what_is_not_to_be_sent_again,
    hand::what_is_dropped_is_in_history_with_the_time_it_was_held,
    hand::an_action_goes_page_by_page_and_no_page_looks_at_more_than_it_was_told,
    census::jobs_are_counted_by_domain_class_state_and_age,
    census::every_job_is_counted_however_many_there_are,
    domains::the_working_form_of_odd_local_parts_is_remembered,
    domains::tls_is_remembered_when_it_was_seen_and_since_when_it_is_missing,
    domains::domains_that_lost_tls_lately_are_listed_the_oldest_loss_first,
    domains::a_policy_is_kept_until_its_time_is_over,
    model::any_sequence_of_operations_on_jobs_goes_as_the_model_says,
    nodes::two_nodes_never_claim_the_same_job,
];

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

/// Writes, where nothing but the database can refuse.
async fn write<T: Send + 'static>(
    store: &Store,
    work: impl FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.write(work).await.unwrap()
}

/// Reads, where nothing but the database can refuse.
async fn read<T: Send + 'static>(
    store: &Store,
    work: impl FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.read(work).await.unwrap()
}

/// Work that has been handed in and waits for its turn.
type HandedIn<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Hands work in, in this very order, without waiting for it; the storage threads have to be held up meanwhile.
async fn hand_in<T, E>(store: &Store, work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static) -> HandedIn<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let store = store.clone();
    let mut waiting: HandedIn<T, E> = Box::pin(async move { store.write(work).await });
    let polled = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await;
    assert!(polled.is_pending());
    waiting
}

fn mail() -> NewMail {
    NewMail {
        via: Via::Smtp,
        peer: "203.0.113.9".parse().unwrap(),
        helo: "phone.example".into(),
        sender: Some(address("A..b.@docomo.ne.jp")),
        to: address("bizanpi@mc-anpi.com"),
        message_id: Some("1@phone".into()),
        size: 512,
        at: at(1_000),
        decision: "answered",
        reason: None,
        raw: None,
    }
}

fn order(class: Class, due: i64) -> NewJob {
    NewJob {
        class,
        to: address("A@docomo.ne.jp"),
        content: Content::Forward { mail: MailId::new(1) },
        language: None,
        cause: None,
        queued_at: at(1),
        due: at(due),
        give_up: at(1_000_000),
    }
}

fn event(name: &str) -> Event {
    Event {
        at: at(1),
        name: name.to_owned().into(),
        mail: None,
        job: None,
        address: None,
        fields: serde_json::Map::new(),
        ordered: None,
    }
}

fn new_member(login: &str) -> NewMember {
    NewMember {
        login: login.parse().unwrap(),
        name: "山田 太郎".into(),
        kana: Some("ヤマダ タロウ".into()),
        department: None,
        language: Language::Ja,
        password_hash: None,
        addresses: [None, None, None],
    }
}

/// Adds the organisation DEMO.
async fn demo(store: &Store) -> OrgId {
    write(store, |tx| tx.add_org(&"DEMO".parse().unwrap(), "株式会社デモ", None, at(1))).await.unwrap()
}

/// Adds the organisation DEMO and a member of it.
async fn taro(store: &Store) -> MemberId {
    let org = demo(store).await;
    write(store, move |tx| tx.put_member(org, &new_member("Taro"), at(1))).await.0
}
