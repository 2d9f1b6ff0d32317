//! People: signing up and signing in.
//!
//! Hashing a password takes time on purpose, so it happens in actions, outside of any transaction; the
//! statements are handlers of their own that cannot be called from outside (`internal`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use forge::prelude::*;

/// How long a sign-in lasts.
const SESSION: Duration = hours(12);
/// Wrong passwords for an e-mail address after which further tries have to wait.
const FREE_FAILURES: u32 = 5;
/// The longest wait between two tries from one address.
const WAIT_MAX: Duration = minutes(1);

forge::id!(pub UserId);

/// An e-mail address. Only a message proves that it works, so the check stays rough.
#[forge::validated_type(len = 3..=254, trim, lowercase, check = looks_like_email)]
pub struct Email(String);

/// What others see.
#[forge::validated_type(len = 1..=80, trim)]
pub struct Name(String);

/// A password, on its way in. Long ones are welcome, up to what is still cheap to hash.
#[forge::validated_type(len = 10..=256, secret)]
pub struct Password(String);

/// A password to sign in with. Whatever its length: a wrong one is answered as a wrong one.
#[forge::validated_type(len = 0..=256, secret)]
pub struct GivenPassword(String);

/// What is kept of a password.
#[forge::validated_type(len = 1..=512, secret)]
pub struct PasswordHash(String);

/// A person.
#[forge::model(table = "users")]
pub struct User {
    #[id]
    pub id: UserId,
    #[unique]
    pub email: Email,
    pub name: Name,
    #[sensitive]
    pub password_hash: PasswordHash,
    #[default(sql = "now()")]
    pub created_at: Timestamp,
}

/// What everyone may know of a person they work with.
#[forge::data]
#[derive(Debug, Clone)]
pub struct Profile {
    pub id: UserId,
    pub email: Email,
    pub name: Name,
}

/// A sign-in.
#[forge::data]
#[derive(Debug)]
pub struct Session {
    /// Goes into the header `authorization: Bearer ..`.
    pub token: String,
    pub user: Profile,
}

/// What a sign-in is checked against.
#[forge::data]
#[derive(Debug)]
pub struct Login {
    user: Profile,
    password_hash: PasswordHash,
}

/// A sign-in that may be tried now, or not yet.
#[forge::data]
#[derive(Debug)]
pub struct SignInTry {
    /// None when there is no such user.
    login: Option<Login>,
    /// How long the try has to wait; 0 when it may be made.
    wait_seconds: u32,
}

#[forge::error]
pub enum UserError {
    /// Somebody has signed up with this e-mail address already.
    #[code("EMAIL_TAKEN", status = 409)]
    EmailTaken,
    /// There is no user with this e-mail address and password.
    #[code("SIGN_IN_FAILED", status = 401)]
    SignInFailed,
    /// Too many wrong passwords were given for this account: the next try has to wait.
    #[code("TOO_MANY_TRIES", status = 429)]
    TooManyTries { seconds: u32 },
    /// The user of this token does not exist.
    #[code("UNKNOWN_USER", status = 404)]
    UnknownUser,
}

/// Signs up, and in.
#[forge::action(public)]
pub async fn sign_up(
    ctx: &ActionContext,
    email: Email,
    name: Name,
    password: Password,
) -> Result<Session, UserError> {
    let password_hash =
        PasswordHash::parse(password::hash(ctx, password.as_str()).await?).map_err(Fault::internal)?;
    let user = ctx.call(Register { email, name, password_hash }).await?;
    open_session(ctx, user)
}

/// Signs in.
#[forge::action(public)]
pub async fn sign_in(
    ctx: &ActionContext,
    email: Email,
    password: GivenPassword,
) -> Result<Session, UserError> {
    let SignInTry { login, wait_seconds: seconds } = ctx.call(BeginSignIn { email }).await?;
    if seconds > 0 {
        let wait = secs(seconds.into());
        return Err(Fault::from(UserError::<Fault>::TooManyTries { seconds }).retry_after(wait).into());
    }
    // Verified even when there is no such user, so that the duration of the call does not show which it was.
    let hash = login.as_ref().map(|login| login.password_hash.as_str());
    let verified = password::verify(ctx, password.as_str(), hash).await?;
    match login {
        Some(login) if verified => {
            ctx.call(ForgetFailures { email: login.user.email.clone() }).await?;
            open_session(ctx, login.user)
        }
        _ => Err(UserError::SignInFailed),
    }
}

/// The person who calls.
#[forge::query]
pub async fn me(ctx: &QueryContext) -> Result<Profile, UserError> {
    let me: UserId = ctx.auth().user()?;
    let found = sqlx::query_as("SELECT id, email, name FROM users WHERE id = $1")
        .bind(me)
        .fetch_optional(ctx.db())
        .await?;
    found.ok_or(UserError::UnknownUser)
}

/// Keeps a new user.
#[forge::mutation(internal)]
pub async fn register(
    ctx: &MutationContext,
    email: Email,
    name: Name,
    password_hash: PasswordHash,
) -> Result<Profile, UserError> {
    let id = UserId::new();
    let insert = "INSERT INTO users (id, email, name, password_hash) VALUES ($1, $2, $3, $4)
        ON CONFLICT (email) DO NOTHING";
    let inserted =
        sqlx::query(insert).bind(id).bind(&email).bind(&name).bind(&password_hash).execute(ctx.db()).await?;
    match inserted.rows_affected() {
        0 => Err(UserError::EmailTaken),
        _ => Ok(Profile { id, email, name }),
    }
}

/// Begins a try to sign in: finds the user, and counts the try as a failure until the password has proven
/// right, so that many tries at once count as many. Failures are counted by the e-mail address that was
/// given, so that a wait does not show whether there is an account with it.
///
/// The wait grows with the failures from all network addresses, and is counted from the last failure of the
/// caller's own; an address without a failure never waits. So a guesser has one try a minute from each
/// address, and nobody at another address can lock an owner out.
#[forge::mutation(internal)]
pub async fn begin_sign_in(ctx: &MutationContext, email: Email) -> Result<SignInTry> {
    // The lock has the tries for one e-mail address take turns.
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('sign in ' || $1, 0))";
    sqlx::query(lock).bind(&email).execute(ctx.db()).await?;
    let address = address_of(ctx.request().ip());
    // What is a day old is forgiven, and some of the other addresses' with it: a try removes more rows than
    // it adds, so the table holds the tries of about a day.
    let forgive = "DELETE FROM sign_in_failures
        WHERE last_at < clock_timestamp() - interval '1 day' AND (email = $1 OR (email, address) IN (
            SELECT email, address FROM sign_in_failures
            WHERE last_at < clock_timestamp() - interval '1 day' LIMIT 100 FOR UPDATE SKIP LOCKED
        ))";
    sqlx::query(forgive).bind(&email).execute(ctx.db()).await?;
    let count = "SELECT coalesce(sum(failures), 0)::int4,
            extract(epoch FROM clock_timestamp() - max(last_at) FILTER (WHERE address = $2))::float8
        FROM sign_in_failures WHERE email = $1";
    let (failures, since): (i32, Option<f64>) =
        sqlx::query_as(count).bind(&email).bind(&address).fetch_one(ctx.db()).await?;
    let wait_seconds = since.map_or(0, |since| wait_seconds(failures.unsigned_abs(), since));
    if wait_seconds == 0 {
        let note = "INSERT INTO sign_in_failures VALUES ($1, $2, 1, clock_timestamp())
            ON CONFLICT (email, address) DO UPDATE
            SET failures = sign_in_failures.failures + 1, last_at = clock_timestamp()";
        sqlx::query(note).bind(&email).bind(&address).execute(ctx.db()).await?;
    }
    let find = "SELECT * FROM users WHERE email = $1";
    let user: Option<User> = sqlx::query_as(find).bind(email).fetch_optional(ctx.db()).await?;
    let login = user.map(|User { id, email, name, password_hash, .. }| Login {
        user: Profile { id, email, name },
        password_hash,
    });
    Ok(SignInTry { login, wait_seconds })
}

/// The password was right: the failures from this address are forgotten. Those from others stay, so that an
/// owner who signs in gives them no new tries.
#[forge::mutation(internal)]
pub async fn forget_failures(ctx: &MutationContext, email: Email) -> Result<()> {
    let forget = "DELETE FROM sign_in_failures WHERE email = $1 AND address = $2";
    sqlx::query(forget).bind(email).bind(address_of(ctx.request().ip())).execute(ctx.db()).await?;
    Ok(())
}

/// Seconds that are left to wait, `since` seconds after the last failure: after 5 failures 1 second, then
/// twice as long each time.
fn wait_seconds(failures: u32, since: f64) -> u32 {
    let Some(doublings) = failures.checked_sub(FREE_FAILURES) else { return 0 };
    let wait = secs(1 << doublings.min(16)).min(WAIT_MAX);
    (wait.as_secs_f64() - since).max(0.0).ceil() as u32
}

/// The address that failures are counted by. A client over IPv6 has a whole network (/64).
fn address_of(ip: Option<IpAddr>) -> String {
    match ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).to_string(),
    }
}

fn open_session(ctx: &ActionContext, user: Profile) -> Result<Session, UserError> {
    let token = ctx.tokens()?.issue(user.id, &[], None, SESSION)?;
    Ok(Session { token, user })
}

fn looks_like_email(text: &str) -> std::result::Result<(), &'static str> {
    match text.split_once('@') {
        Some((name, host))
            if !name.is_empty() && host.contains('.') && !text.contains(char::is_whitespace) =>
        {
            Ok(())
        }
        _ => Err("must look like name@example.com"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use forge::testing::{TestContext, TestResult};

    use super::*;

    /// A person who has signed up. Hashing a password takes time, so this calls the handler behind it.
    pub(crate) async fn person(cx: &TestContext, name: &str) -> TestResult<Profile> {
        let email: Email = format!("{name}@example.com").parse()?;
        let password_hash: PasswordHash = "none".parse()?;
        Ok(cx.call_internal(Register { email, name: name.parse()?, password_hash }).await?)
    }

    #[forge::test]
    async fn a_sign_in_needs_the_password(cx: TestContext) -> TestResult {
        let email: Email = "ana@example.com".parse()?;
        let password = "correct horse battery";
        let sign_up = SignUp { email: email.clone(), name: "Ana".parse()?, password: password.parse()? };
        let session = cx.call(sign_up).await?;
        assert_eq!(cx.with_token(&session.token)?.call(Me {}).await?.email, email);

        let sign_in = |password: &str| -> TestResult<SignIn> {
            Ok(SignIn { email: email.clone(), password: password.parse()? })
        };
        assert_eq!(cx.call(sign_in(password)?).await?.user.email, email);
        // A short one too: who mistypes reads that, and not how long a password has to be.
        for wrong in ["incorrect horse", "short"] {
            let refused = cx.call(sign_in(wrong)?).await;
            assert!(matches!(refused, Err(CallError::App(UserError::SignInFailed))));
        }
        Ok(())
    }

    #[forge::test]
    async fn guessing_a_password_is_slowed(cx: TestContext) -> TestResult {
        let ana = person(&cx, "ana").await?;
        let guess = || cx.call_internal(BeginSignIn { email: ana.email.clone() });
        for _ in 0..FREE_FAILURES {
            assert_eq!(guess().await?.wait_seconds, 0);
        }
        let sign_in = || -> TestResult<SignIn> {
            Ok(SignIn { email: ana.email.clone(), password: "correct horse battery".parse()? })
        };
        let refused = cx.call(sign_in()?).await;
        assert!(matches!(refused, Err(CallError::App(UserError::TooManyTries { seconds: 1 }))));
        // Failures from elsewhere make the wait longer; who waits is not counted.
        let elsewhere = "INSERT INTO sign_in_failures VALUES ($1, '198.51.100.7', 1000, now())";
        sqlx::query(elsewhere).bind(&ana.email).execute(&cx.db()).await?;
        assert!(guess().await?.wait_seconds > 50);
        let own = "SELECT failures FROM sign_in_failures WHERE email = $1 AND address = '0.0.0.0'";
        let failures: i32 = sqlx::query_scalar(own).bind(&ana.email).fetch_one(&cx.db()).await?;
        assert_eq!(failures.unsigned_abs(), FREE_FAILURES);
        // An address without a failure of its own does not wait, and success forgets its failures alone.
        cx.call_internal(ForgetFailures { email: ana.email.clone() }).await?;
        assert_eq!(guess().await?.wait_seconds, 0);
        let all = "SELECT sum(failures)::int4 FROM sign_in_failures WHERE email = $1";
        assert_eq!(sqlx::query_scalar::<_, i32>(all).bind(&ana.email).fetch_one(&cx.db()).await?, 1_001);
        Ok(())
    }

    #[forge::test]
    async fn a_wait_does_not_show_whether_an_account_exists(cx: TestContext) -> TestResult {
        person(&cx, "ana").await?;
        for name in ["ana", "nobody"] {
            let email: Email = format!("{name}@example.com").parse()?;
            let guess = || cx.call_internal(BeginSignIn { email: email.clone() });
            for _ in 0..FREE_FAILURES {
                assert_eq!(guess().await?.wait_seconds, 0, "{name}");
            }
            assert_eq!(guess().await?.wait_seconds, 1, "{name}");
        }
        Ok(())
    }

    #[forge::test]
    async fn failures_of_yesterday_are_forgiven(cx: TestContext) -> TestResult {
        let email: Email = "ana@example.com".parse()?;
        let old = "INSERT INTO sign_in_failures
            SELECT $1, '0.0.0.' || host, 1000, now() - interval '25 hours'
            FROM generate_series(0, 9) AS host";
        sqlx::query(old).bind("bob@example.com").execute(&cx.db()).await?;
        sqlx::query(old).bind(&email).execute(&cx.db()).await?;
        assert_eq!(cx.call_internal(BeginSignIn { email }).await?.wait_seconds, 0);
        let left: i64 =
            sqlx::query_scalar("SELECT sum(failures) FROM sign_in_failures").fetch_one(&cx.db()).await?;
        assert_eq!(left, 1);
        Ok(())
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        assert_eq!(
            [0, 4, 5, 6, 8, 11, 5_000].map(|failures| wait_seconds(failures, 0.0)),
            [0, 0, 1, 2, 8, 60, 60]
        );
        assert_eq!((wait_seconds(8, 6.5), wait_seconds(8, 8.0), wait_seconds(8, 900.0)), (2, 0, 0));
    }

    #[test]
    fn a_client_over_ipv6_has_one_address() {
        let counted = |ip: &str| address_of(ip.parse().ok());
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), counted("2001:db8:1:2::9"));
        assert_eq!(counted("192.0.2.7"), "192.0.2.7");
    }

    #[forge::test]
    async fn an_address_signs_up_once(cx: TestContext) -> TestResult {
        person(&cx, "ana").await?;
        let email: Email = "Ana@example.com".parse()?;
        let again = SignUp { email, name: "Ana".parse()?, password: "correct horse battery".parse()? };
        assert!(matches!(cx.call(again).await, Err(CallError::App(UserError::EmailTaken))));
        Ok(())
    }
}
