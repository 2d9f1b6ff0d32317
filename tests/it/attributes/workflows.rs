//! Workflows, their events and their migrations, in an application that names nothing but `forge`.

use forge::app::workflow::{JournalContents, MigrationRegistration};
use forge::app::workflow_run::journal::JournalEntry;
use forge::prelude::*;

#[forge::workflow(name = "workflows.onboard", message = "OldOnboard", deprecated)]
async fn onboard_v1(_ctx: &WorkflowContext, user: u32) -> Result<u32> {
    Ok(user)
}

/// Welcomes a user.
#[forge::workflow(
    version = 2,
    timeout = "30d",
    retention = "7d",
    alias = "workflows.welcome",
    alias = "users.onboard",
    input_max = "1KiB"
)]
async fn onboard(_ctx: &WorkflowContext, user: u32, name: Option<String>) -> Result<u32> {
    drop(name);
    Ok(user)
}

/// The function is called as a local of what the attribute writes is.
#[forge::workflow_migration(from = 1, to = 2)]
fn journal(journal: &mut Journal<self::Onboard>) -> Result<()> {
    journal.input_mut()["name"] = json!("Ana");
    journal.rename("account", "user")
}

#[test]
fn a_workflow_has_versions_and_a_time_limit_of_its_own() {
    let meta = Onboard::META.workflow_meta().expect("a workflow");
    assert_eq!((Onboard::META.wire_name(), meta.version), ("workflows.onboard".to_owned(), 2));
    assert_eq!((meta.timeout, meta.retention, meta.deprecated), (Some(days(30)), Some(days(7)), false));
    assert_eq!(Onboard::META.aliases(), ["workflows.welcome", "users.onboard"]);
    assert_eq!((Onboard::META.doc, Onboard::META.input_bytes_max), ("Welcomes a user.", 1_024));

    let old = OldOnboard::META.workflow_meta().expect("a workflow");
    assert_eq!(OldOnboard::META.wire_name(), "workflows.onboard");
    assert_eq!((old.version, old.deprecated, old.timeout, old.retention), (1, true, None, None));
    assert_eq!(OldOnboard { user: 7 }.user, 7);
}

fn step(name: &str) -> JournalEntry {
    let mut journal = Journal::<Onboard>::of(JournalContents { input: json!({}), entries: Vec::new() });
    journal.insert(1, name, &()).expect("a step at the end");
    journal.into_contents().entries.remove(0)
}

#[test]
fn a_migration_is_found_and_changes_the_journal() {
    let mut all = forge::__private::inventory::iter::<MigrationRegistration>.into_iter();
    let migration = all.find(|migration| migration.meta.wire_name() == "workflows.onboard");
    let migration = migration.expect("the migration");
    assert_eq!((migration.from, migration.to), (1, 2));
    assert!(migration.file.ends_with("workflows.rs") && migration.line > 0);
    let contents = JournalContents { input: json!({ "user": 7 }), entries: vec![step("account")] };
    let migrated = (migration.migrate)(contents).expect("a migrated journal");
    assert_eq!(migrated.input, json!({ "user": 7, "name": "Ana" }));
    assert_eq!(migrated.entries[0].name, "user");
    let refused = (migration.migrate)(migrated).expect_err("no such step");
    assert_eq!(refused.code(), Code::Conflict);
}

/// A user's address was verified.
#[forge::event(key = user_id)]
#[derive(Debug, PartialEq)]
struct EmailVerified {
    user_id: Uuid,
    #[serde(default)]
    verified_at: Option<Timestamp>,
}

#[forge::event(name = "plant.closed")]
#[derive(Debug, PartialEq)]
struct Shutdown;

#[forge::event(key = r#type)]
struct Renamed {
    r#type: (u8, String),
}

#[test]
fn an_event_has_a_name_and_a_key() {
    let event = EmailVerified { user_id: Uuid::nil(), verified_at: None };
    assert_eq!((EmailVerified::name(), event.key()), ("workflows.email_verified".to_owned(), &Uuid::nil()));
    let written = serde_json::to_value(&event).expect("JSON");
    assert_eq!(written, json!({ "userId": Uuid::nil(), "verifiedAt": null }));
    let read: EmailVerified = serde_json::from_value(json!({ "userId": Uuid::nil() })).expect("an event");
    assert_eq!(read, event);

    assert_eq!((Shutdown::name(), Shutdown.key()), ("plant.closed".to_owned(), &()));
    let read: Shutdown = serde_json::from_value(serde_json::to_value(&Shutdown).expect("JSON")).expect("one");
    assert_eq!(read, Shutdown);

    let renamed = Renamed { r#type: (1, "two".to_owned()) };
    assert_eq!((Renamed::name(), renamed.key().0), ("workflows.renamed".to_owned(), 1));
}

#[forge::mutation]
async fn open_account(_ctx: &MutationContext, user: Uuid) -> Result<String, AccountError> {
    if user.is_nil() { Err(AccountError::NoUser) } else { Ok(user.to_string()) }
}

#[forge::mutation]
async fn close_account(_ctx: &MutationContext, account: String) -> Result<()> {
    drop(account);
    Ok(())
}

#[forge::action]
async fn register(_ctx: &ActionContext, account: String) -> Result<u32> {
    Ok(u32::try_from(account.len()).unwrap_or(u32::MAX))
}

#[forge::error]
enum AccountError {
    /// There is no such user.
    #[code("NO_SUCH_USER", status = 404)]
    NoUser,
    /// The address was never verified.
    #[code("NEVER_VERIFIED", status = 409)]
    NeverVerified { account: String },
}

/// Holds texts across its waits, and lends them to steps: its future has to be sendable all the same.
#[forge::workflow(timeout = "30d")]
async fn sign_up(ctx: &WorkflowContext, user: Uuid, greeting: String) -> Result<u32, AccountError> {
    let account = ctx
        .step("account", OpenAccount { user })
        .retry(5)
        .timeout(secs(10))
        .compensate(|account| CloseAccount { account: account.clone() })
        .await?;
    let (number, copied) = ctx
        .parallel((
            ctx.step("register", Register { account: account.clone() }),
            ctx.step("copy", || async { Ok(account.clone()) }).optional(),
        ))
        .await?;
    ctx.tx_step("greet", async |tx| {
        sqlx::query("SELECT $1 || $2").bind(&greeting).bind(copied.as_deref()).execute(tx.db()).await?;
        Ok(())
    })
    .await?;
    match ctx.wait_for::<EmailVerified>(user).timeout(days(7)).await? {
        Some(_) => ctx.sleep(days(1)).await,
        None => return Err(AccountError::NeverVerified { account }),
    }
    ctx.start(Onboard { user: number, name: None }).id(("onboard", user)).await?;
    Ok(number)
}
