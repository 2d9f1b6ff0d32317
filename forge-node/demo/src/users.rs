//! People: signing up and signing in.
//!
//! Hashing a password takes time on purpose, so it happens in actions, outside of any transaction; the
//! statements are handlers of their own that cannot be called from outside (`internal`).

use forge::prelude::*;

/// How long a sign-in lasts.
const SESSION: Duration = hours(12);

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

/// A password that somebody signs in with. Whatever its length: a wrong one is answered as a wrong one.
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

#[forge::error]
pub enum UserError {
    /// Somebody has signed up with this e-mail address already.
    #[code("EMAIL_TAKEN", status = 409)]
    EmailTaken,
    /// There is no user with this e-mail address and password.
    #[code("SIGN_IN_FAILED", status = 401)]
    SignInFailed,
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
    let login = ctx.call(FindLogin { email }).await?;
    // Verified even when there is no such user, so that the time of the response does not show which it was.
    let hash = login.as_ref().map(|login| login.password_hash.as_str());
    let verified = password::verify(ctx, password.as_str(), hash).await?;
    match login {
        Some(login) if verified => open_session(ctx, login.user),
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

/// The user of an e-mail address, with the hash to compare with.
#[forge::query(internal)]
pub async fn find_login(ctx: &QueryContext, email: Email) -> Result<Option<Login>> {
    let user: Option<User> =
        sqlx::query_as("SELECT * FROM users WHERE email = $1").bind(email).fetch_optional(ctx.db()).await?;
    Ok(user.map(|User { id, email, name, password_hash, .. }| Login {
        user: Profile { id, email, name },
        password_hash,
    }))
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
    async fn an_address_signs_up_once(cx: TestContext) -> TestResult {
        person(&cx, "ana").await?;
        let email: Email = "Ana@example.com".parse()?;
        let again = SignUp { email, name: "Ana".parse()?, password: "correct horse battery".parse()? };
        assert!(matches!(cx.call(again).await, Err(CallError::App(UserError::EmailTaken))));
        Ok(())
    }
}
