//! Mails. There is no mail server here: instead of sending a mail, a job keeps it in a table, and the page
//! shows it.

use forge::prelude::*;

use super::invitations::{Invitation, InvitationId, Term};
use super::projects::ProjectName;
use super::users::{Email, Name};

forge::id!(pub MailId);

/// A mail that would be sent.
#[forge::model(table = "mails")]
pub struct Mail {
    #[id]
    pub id: MailId,
    #[unique]
    #[relation(belongs_to = Invitation, on_delete = cascade)]
    pub invitation: InvitationId,
    pub recipient: Email,
    pub subject: String,
    pub body: String,
    #[default(sql = "now()")]
    pub created_at: Timestamp,
}

/// What the mail of an invitation says.
#[forge::data]
struct InvitationText {
    email: Email,
    project_name: ProjectName,
    inviter_name: Name,
}

/// Sends the mail of an invitation, whose time begins then. Of one that was withdrawn meanwhile there is no
/// mail.
#[forge::job(queue = "mails", attempts = 5, backoff = exponential("1s", max = "1m"))]
pub async fn send_invitation(ctx: &JobContext, invitation: InvitationId, term: Term) -> Result<()> {
    // The mail, the state and the end of the job are one transaction: there is one mail.
    ctx.commit(async |tx| {
        let update = "UPDATE invitations
            SET status = 'waiting', expires_at = now() + make_interval(secs => $2)
            FROM projects, users
            WHERE invitations.id = $1 AND status = 'sending' AND projects.id = project AND users.id = inviter
            RETURNING invitations.email, projects.name AS project_name, users.name AS inviter_name";
        let text: Option<InvitationText> = sqlx::query_as(update)
            .bind(invitation)
            .bind(term.duration().as_secs_f64())
            .fetch_optional(tx.db())
            .await?;
        let Some(InvitationText { email, project_name, inviter_name }) = text else { return Ok(()) };
        let subject = format!("{inviter_name} invites you to {project_name}");
        let body = format!(
            "{inviter_name} would like to work with you on the project {project_name}.\n\n\
             Sign in, or sign up, as {email} to join it. The invitation is good for {}.",
            term.text()
        );
        let insert =
            "INSERT INTO mails (id, invitation, recipient, subject, body) VALUES ($1, $2, $3, $4, $5)";
        sqlx::query(insert)
            .bind(MailId::new())
            .bind(invitation)
            .bind(email)
            .bind(subject)
            .bind(body)
            .execute(tx.db())
            .await?;
        Ok(())
    })
    .await
}
