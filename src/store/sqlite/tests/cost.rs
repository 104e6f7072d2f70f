//! What the statements of the queue cost: as many steps however much waits, and no index but their own.

use super::{Bench, bench};
use crate::store::job::first_due_sql;
use crate::store::lease::{OVER, backlog_sql, claim_expired_sql, claim_lanes_sql, claim_sql, wake_sql};
use crate::store::sql::{Param, params};
use rusqlite::{Connection, StatementStatus, params_from_iter};

/// Fills the queue with `count` jobs of each class: for each of six domains ten that are due and may be woken and ten whose
/// time is over, and the rest for one more domain, which is due in `backlog_due` and has all the time there is.
fn fill(connection: &Connection, count: i64, backlog_due: i64) {
    let sql = "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < ?1 - 1) \
               INSERT INTO jobs (class_rank, recipient, folded, domain, content, queued_at, first_due, give_up, due, \
               state, attempts, last_cause) SELECT class.n, 'a@b.jp', 'a@b.jp', \
               CASE WHEN n.n < 120 THEN 'd' || (n.n % 6) || '.jp' ELSE 'big.jp' END, '{}', 0, 0, \
               CASE WHEN n.n < 60 THEN n.n ELSE 1000000 + n.n END, \
               CASE WHEN n.n < 120 THEN 1000 + n.n ELSE ?2 + n.n END, 'deferred', 1, 'dns' FROM n, \
               (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 \
               UNION ALL SELECT 5) AS class";
    connection.execute(sql, (count, backlog_due)).unwrap();
}

/// How many steps SQLite takes for a statement, and how many rows it answers with.
fn steps(connection: &Connection, sql: &str, values: &[Param<'_>]) -> (i32, usize) {
    let mut statement = connection.prepare(sql).unwrap();
    let mut rows = statement.query(params_from_iter(values)).unwrap();
    let mut count = 0;
    while rows.next().unwrap().is_some() {
        count += 1;
    }
    drop(rows);
    (statement.get_status(StatementStatus::VmStep), count)
}

/// The statements whose cost must not grow with the queue, each with the index it was made for.
fn hot_statements() -> [(String, &'static str); 7] {
    [
        (first_due_sql(), "jobs_waiting (class_rank=?"),
        (claim_sql(), "jobs_waiting (class_rank=? AND due<?"),
        (claim_lanes_sql(2), "jobs_lanes (class_rank=? AND domain=? AND due<?"),
        (backlog_sql(), "jobs_lanes (class_rank=? AND domain>?"),
        (claim_expired_sql(), "jobs_give_up (give_up<?"),
        (wake_sql(), "jobs_lanes (class_rank=? AND domain=? AND due>?"),
        (OVER.to_owned(), "jobs_leases (lease_until<?"),
    ]
}

#[test]
fn the_statements_of_the_queue_take_as_many_steps_however_much_waits() {
    // What waits behind is not due in one case, and in the other due before what is wanted.
    for backlog_due in [1_000_000, -1_000_000] {
        let costs = [1_000, 50_000].map(|count| {
            let Bench { writer, _folder, .. } = bench();
            fill(&writer.connection, count, backlog_due);
            let [first_due, claim, lanes, backlog, expired, wake, over] = hot_statements().map(|(sql, _)| sql);
            let now = 1_100_i64;
            let all = params!["w", 9_999_i64, 1_i64, now, 10_i64];
            let two = params!["w", 9_999_i64, 1_i64, now, 10_i64, "d1.jp", "d2.jp"];
            [
                (first_due.as_str(), &[][..]),
                (&backlog, params![1_i64, now, 100_i64]),
                (&claim, all),
                (&lanes, two),
                // What was claimed is no longer in the way.
                (&lanes, two),
                (&expired, params!["w", 9_999_i64, 59_i64, 10_i64]),
                (&wake, params![1_i64, "d3.jp", 500_i64, 10_i64]),
                // What was claimed above is not over yet.
                (&over, params![9_998_i64]),
            ]
            .map(|(sql, values)| steps(&writer.connection, sql, values))
        });
        assert_eq!(costs[0], costs[1], "{backlog_due}");
        let found = costs[0].map(|(_, found)| found);
        let domains = if backlog_due < 0 { 7 } else { 6 };
        assert_eq!(found, [1, domains, 10, 10, 10, 10, 0, 0]);
    }
}

#[test]
fn the_statements_of_the_queue_use_the_indexes_made_for_them() {
    let Bench { writer, _folder, .. } = bench();
    for (sql, index) in hot_statements() {
        let mut statement = writer.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let count = statement.parameter_count();
        let plan: Vec<String> = statement
            .query_map(params_from_iter(vec![1; count]), |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(plan.iter().any(|line| line.contains(index)), "{sql}: {plan:#?}");
        assert!(!plan.iter().any(|line| line.starts_with("SCAN jobs")), "{sql}: {plan:#?}");
        // Only what has been found is sorted, never what waits.
        let sorts = plan.iter().any(|line| line.contains("TEMP B-TREE"));
        let sorts_what_was_found = sql == backlog_sql() || sql == wake_sql();
        assert_eq!(sorts, sorts_what_was_found, "{sql}: {plan:#?}");
    }
}
