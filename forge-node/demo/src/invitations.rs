//! Invitations. For each one a workflow runs: it has a mail sent, waits for the answer, and lets the person
//! join. When the answer is no, or none comes in time, it takes the invitation back.
//!
//! `forge-node workflows ls` shows the runs, and `forge-node workflows show <id>` what one waits for.

use forge::prelude::*;

use super::mails::SendInvitation;
use super::projects::{MembershipId, Project, ProjectId, ProjectName, owner_of};
use super::users::{Email, Name, User, UserId};

/// Invitations in one answer.
const PAGE: i64 = 50;

forge::id!(pub InvitationId);

/// How far an invitation is.
#[forge::forge_enum(name = "invitation_status")]
pub enum InvitationStatus {
    /// The mail is on its way.
    Sending,
    /// It waits for an answer.
    Waiting,
    /// The answer is yes; the person joins in a moment.
    Accepted,
    Joined,
    Declined,
    Withdrawn,
    /// No answer has come in time, or the run of the workflow was cancelled.
    Expired,
}

/// For how long an invitation is good.
#[forge::data]
#[derive(Debug, Clone, Copy)]
pub enum Term {
    /// To see how an invitation expires.
    Minute,
    Day,
    Week,
}

#[forge::model(table = "invitations", index(project, email))]
pub struct Invitation {
    #[id]
    pub id: InvitationId,
    #[relation(belongs_to = Project, on_delete = cascade)]
    pub project: ProjectId,
    #[indexed]
    pub email: Email,
    #[relation(belongs_to = User, on_delete = cascade)]
    pub inviter: UserId,
    #[default = "sending"]
    pub status: InvitationStatus,
    pub expires_at: Option<Timestamp>,
    #[default(sql = "now()")]
    pub created_at: Timestamp,
}

/// An invitation, as the members of its project read it.
#[forge::data]
#[derive(Debug)]
pub struct InvitationLine {
    pub id: InvitationId,
    pub email: Email,
    pub inviter: UserId,
    pub status: InvitationStatus,
    pub expires_at: Option<Timestamp>,
    /// The mail that would be sent.
    pub mail: Option<MailText>,
}

/// What a mail says.
#[forge::data]
#[derive(Debug)]
pub struct MailText {
    pub subject: String,
    pub body: String,
}

/// An invitation, as the person who is invited reads it.
#[forge::data]
#[derive(Debug)]
pub struct ReceivedInvitation {
    pub id: InvitationId,
    pub project_name: ProjectName,
    pub inviter_name: Name,
    pub status: InvitationStatus,
    pub expires_at: Option<Timestamp>,
}

/// An answer to an invitation, for which its workflow waits.
#[forge::event(key = invitation)]
pub struct InvitationAnswered {
    pub invitation: InvitationId,
    pub answer: Answer,
    pub by: UserId,
}

/// What was answered.
#[forge::data]
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    Accepted,
    Declined,
    /// By the inviter.
    Withdrawn,
}

#[forge::error]
pub enum InvitationError {
    /// There is no such invitation, or it is not yours.
    #[code("INVITATION_NOT_FOUND", status = 404)]
    NotFound,
    /// The invitation is not open any more.
    #[code("INVITATION_CLOSED", status = 409)]
    Closed { status: InvitationStatus },
    /// There is no such project, or you are no member of it.
    #[code("PROJECT_NOT_FOUND", status = 404)]
    ProjectNotFound,
    /// Only the owner of the project may do this.
    #[code("OWNER_ONLY", status = 403)]
    OwnerOnly,
    /// This person is a member of the project already.
    #[code("ALREADY_A_MEMBER", status = 409)]
    AlreadyAMember { email: Email },
}

/// Why a person who was invited has not joined.
#[forge::error]
pub enum NotJoined {
    /// No answer has come in time.
    #[code("INVITATION_EXPIRED", status = 409)]
    Expired,
    /// The person does not want to join.
    #[code("INVITATION_DECLINED", status = 409)]
    Declined,
    /// The invitation was withdrawn.
    #[code("INVITATION_WITHDRAWN", status = 409)]
    Withdrawn,
}

/// Invites a person by e-mail address, who need not have signed up yet. Returns the run of the workflow; of a
/// person whose invitation is open already, that one's run.
#[forge::mutation]
pub async fn invite(
    ctx: &MutationContext,
    project: ProjectId,
    email: Email,
    term: Term,
) -> Result<RunId, InvitationError> {
    let me: UserId = ctx.auth().user()?;
    let owner = owner_of(ctx, project, me).await?;
    if owner.ok_or(InvitationError::ProjectNotFound)? != me {
        return Err(InvitationError::OwnerOnly);
    }
    let select = "SELECT EXISTS (SELECT FROM memberships JOIN users ON users.id = member
        WHERE project = $1 AND email = $2)";
    if sqlx::query_scalar(select).bind(project).bind(&email).fetch_one(ctx.db()).await? {
        return Err(InvitationError::AlreadyAMember { email });
    }
    // The run of an invitation that is closed or expired may not have ended yet: a new run replaces it.
    let select = "SELECT status IN ('declined', 'withdrawn') OR status = 'waiting' AND expires_at < now()
        FROM invitations WHERE project = $1 AND email = $2 ORDER BY id DESC LIMIT 1";
    let ends: Option<bool> =
        sqlx::query_scalar(select).bind(project).bind(&email).fetch_optional(ctx.db()).await?;
    let rule = if ends == Some(true) { IdConflict::Replace } else { IdConflict::ReturnRunning };
    let start = ctx.start(InviteMember { project, email: email.clone(), term });
    Ok(start.id((project, &email)).on_conflict(rule).attribute("email", email.as_str()).await?)
}

/// Invites a person, and waits for the answer; returns the user who has joined.
#[forge::workflow(timeout = "8d")]
pub async fn invite_member(
    ctx: &WorkflowContext,
    project: ProjectId,
    email: Email,
    term: Term,
) -> Result<UserId, NotJoined> {
    let invitation = ctx
        .step("record", Record { project, email })
        .compensate(|invitation| Close { invitation: *invitation })
        .await?;
    ctx.publish(&InvitationStatus::Sending).await?;
    ctx.run_job(SendInvitation { invitation, term }).await?;
    ctx.publish(&InvitationStatus::Waiting).await?;
    let answered = ctx.wait_for::<InvitationAnswered>(invitation).timeout(term.duration()).await?;
    let Some(InvitationAnswered { answer, by, .. }) = answered else { return Err(NotJoined::Expired) };
    match answer {
        Answer::Accepted => {
            ctx.step("join", Join { invitation, member: by }).await?;
            Ok(by)
        }
        Answer::Declined => Err(NotJoined::Declined),
        Answer::Withdrawn => Err(NotJoined::Withdrawn),
    }
}

/// The invitations to a project, those that are open before the others, and the newest first.
#[forge::query]
pub async fn list(ctx: &QueryContext, project: ProjectId) -> Result<Vec<InvitationLine>> {
    let me: UserId = ctx.auth().user()?;
    let select = "SELECT invitations.id, invitations.email, inviter, status, expires_at,
            CASE WHEN mails.id IS NOT NULL
                THEN jsonb_build_object('subject', mails.subject, 'body', mails.body) END AS mail
        FROM invitations
        LEFT JOIN mails ON mails.invitation = invitations.id
        WHERE project = $1 AND EXISTS (SELECT FROM memberships WHERE project = $1 AND member = $2)
        ORDER BY status IN ('sending', 'waiting', 'accepted') DESC, invitations.id DESC LIMIT $3";
    Ok(sqlx::query_as(select).bind(project).bind(me).bind(PAGE).fetch_all(ctx.db()).await?)
}

/// The open invitations of the caller, newest first.
#[forge::query]
pub async fn received(ctx: &QueryContext) -> Result<Vec<ReceivedInvitation>> {
    let me: UserId = ctx.auth().user()?;
    let select = "SELECT invitations.id, projects.name AS project_name, inviters.name AS inviter_name,
            status, expires_at
        FROM invitations
        JOIN users ON users.email = invitations.email AND users.id = $1
        JOIN projects ON projects.id = project
        JOIN users inviters ON inviters.id = inviter
        WHERE status IN ('waiting', 'accepted')
        ORDER BY invitations.id DESC LIMIT $2";
    Ok(sqlx::query_as(select).bind(me).bind(PAGE).fetch_all(ctx.db()).await?)
}

/// Accepts an invitation of the caller. The workflow lets the caller join then.
#[forge::mutation]
pub async fn accept(ctx: &MutationContext, id: InvitationId) -> Result<(), InvitationError> {
    let found = lock_received(ctx, id).await?;
    answer(ctx, id, found, InvitationStatus::Accepted, Answer::Accepted).await
}

/// Declines an invitation of the caller.
#[forge::mutation]
pub async fn decline(ctx: &MutationContext, id: InvitationId) -> Result<(), InvitationError> {
    let found = lock_received(ctx, id).await?;
    answer(ctx, id, found, InvitationStatus::Declined, Answer::Declined).await
}

/// Withdraws an invitation that the caller has made.
#[forge::mutation]
pub async fn withdraw(ctx: &MutationContext, id: InvitationId) -> Result<(), InvitationError> {
    let me: UserId = ctx.auth().user()?;
    let lock = "SELECT status FROM invitations WHERE id = $1 AND inviter = $2 FOR UPDATE";
    let found = sqlx::query_scalar(lock).bind(id).bind(me).fetch_optional(ctx.db()).await?;
    answer(ctx, id, found, InvitationStatus::Withdrawn, Answer::Withdrawn).await
}

/// The first step: records an invitation by the caller, who owns the project.
#[forge::mutation(internal)]
pub async fn record(
    ctx: &MutationContext,
    project: ProjectId,
    email: Email,
) -> Result<InvitationId, InvitationError> {
    let me: UserId = ctx.auth().user()?;
    let insert = "INSERT INTO invitations (id, project, email, inviter)
        SELECT $1, id, $3, owner FROM projects WHERE id = $2 AND owner = $4 RETURNING id";
    let recorded = sqlx::query_scalar(insert)
        .bind(InvitationId::new())
        .bind(project)
        .bind(email)
        .bind(me)
        .fetch_optional(ctx.db())
        .await?;
    recorded.ok_or(InvitationError::ProjectNotFound)
}

/// Takes the first step back when the run fails or is cancelled. An answer that came too late for the run
/// counts as none.
#[forge::mutation(internal)]
pub async fn close(ctx: &MutationContext, invitation: InvitationId) -> Result<()> {
    let update = "UPDATE invitations SET status = 'expired'
        WHERE id = $1 AND status IN ('sending', 'waiting', 'accepted')";
    sqlx::query(update).bind(invitation).execute(ctx.db()).await?;
    Ok(())
}

/// The last step: the person becomes a member.
#[forge::mutation(internal)]
pub async fn join(
    ctx: &MutationContext,
    invitation: InvitationId,
    member: UserId,
) -> Result<(), InvitationError> {
    let update = "UPDATE invitations SET status = 'joined' WHERE id = $1 RETURNING project";
    let project: Option<ProjectId> =
        sqlx::query_scalar(update).bind(invitation).fetch_optional(ctx.db()).await?;
    let project = project.ok_or(InvitationError::NotFound)?;
    let insert = "INSERT INTO memberships (id, project, member) VALUES ($1, $2, $3)
        ON CONFLICT (project, member) DO NOTHING";
    sqlx::query(insert).bind(MembershipId::new()).bind(project).bind(member).execute(ctx.db()).await?;
    Ok(())
}

/// The status of an invitation whose e-mail address is the caller's. The lock has answers take turns.
async fn lock_received(
    ctx: &MutationContext,
    id: InvitationId,
) -> Result<Option<InvitationStatus>, InvitationError> {
    let me: UserId = ctx.auth().user()?;
    let lock = "SELECT status FROM invitations JOIN users USING (email)
        WHERE invitations.id = $1 AND users.id = $2 FOR UPDATE OF invitations";
    Ok(sqlx::query_scalar(lock).bind(id).bind(me).fetch_optional(ctx.db()).await?)
}

/// Answers an invitation that is open, and tells its workflow.
async fn answer(
    ctx: &MutationContext,
    id: InvitationId,
    found: Option<InvitationStatus>,
    status: InvitationStatus,
    answer: Answer,
) -> Result<(), InvitationError> {
    match found.ok_or(InvitationError::NotFound)? {
        InvitationStatus::Sending | InvitationStatus::Waiting => {}
        status => return Err(InvitationError::Closed { status }),
    }
    let update = "UPDATE invitations SET status = $2 WHERE id = $1";
    sqlx::query(update).bind(id).bind(status).execute(ctx.db()).await?;
    // The event is part of this transaction: the workflow goes on if and only if the answer is kept.
    ctx.emit(InvitationAnswered { invitation: id, answer, by: ctx.auth().user()? }).await?;
    Ok(())
}

impl Term {
    pub(crate) const fn duration(self) -> Duration {
        match self {
            Self::Minute => minutes(1),
            Self::Day => days(1),
            Self::Week => days(7),
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Minute => "a minute",
            Self::Day => "a day",
            Self::Week => "a week",
        }
    }
}

#[cfg(test)]
mod tests {
    use forge::testing::{TestContext, TestResult, TestUser};

    use super::super::projects;
    use super::super::users::tests::person;
    use super::*;

    /// A project of Ana's, to which she has invited Bob; he has the mail.
    struct Invited {
        ana: TestUser,
        bob: TestUser,
        project: ProjectId,
        run: RunId,
        id: InvitationId,
    }

    impl Invited {
        async fn to_bob(cx: &TestContext) -> TestResult<Self> {
            let (ana, bob) = (person(cx, "ana").await?, person(cx, "bob").await?);
            let (ana, bob) = (cx.as_user(ana.id), cx.as_user(bob.id));
            let project = ana.call(projects::Create { name: "Garden".parse()? }).await?.id;
            let run = ana.call(bob_to(project)?).await?;
            let id = deliver(cx, &bob).await?;
            Ok(Self { ana, bob, project, run, id })
        }

        async fn members(&self) -> TestResult<Vec<String>> {
            let members = self.ana.call(projects::Members { project: self.project }).await?;
            Ok(members.iter().map(|member| member.name.to_string()).collect())
        }

        async fn status(&self) -> TestResult<InvitationStatus> {
            let lines = self.ana.call(List { project: self.project }).await?;
            Ok(lines.iter().find(|line| line.id == self.id).ok_or("there is no such invitation")?.status)
        }
    }

    fn bob_to(project: ProjectId) -> TestResult<Invite> {
        Ok(Invite { project, email: "bob@example.com".parse()?, term: Term::Week })
    }

    /// Lets the workflow have the mail sent, and wait for its answer.
    async fn deliver(cx: &TestContext, recipient: &TestUser) -> TestResult<InvitationId> {
        cx.settle().await?;
        Ok(recipient.call(Received {}).await?.first().ok_or("no invitation is received")?.id)
    }

    #[forge::test]
    async fn a_person_who_accepts_joins(cx: TestContext) -> TestResult {
        let invited = Invited::to_bob(&cx).await?;
        let Invited { ana, bob, project, run, id } = &invited;
        let (project, run, id) = (*project, *run, *id);
        let lines = ana.call(List { project }).await?;
        let mail = lines[0].mail.as_ref().ok_or("there is no mail")?;
        assert_eq!(mail.subject, "ana invites you to Garden");
        assert_eq!(invited.members().await?, ["ana"]);

        bob.call(Accept { id }).await?;
        cx.run_workflows().await?;
        cx.outcome::<InviteMember>(run).await?;
        assert_eq!(invited.members().await?, ["ana", "bob"]);
        assert_eq!(invited.status().await?, InvitationStatus::Joined);
        let again = ana.call(bob_to(project)?).await;
        assert!(matches!(again, Err(CallError::App(InvitationError::AlreadyAMember { .. }))));
        Ok(())
    }

    #[forge::test]
    async fn a_person_who_declines_does_not_join(cx: TestContext) -> TestResult {
        let invited = Invited::to_bob(&cx).await?;
        invited.bob.call(Decline { id: invited.id }).await?;
        cx.run_workflows().await?;
        let outcome = cx.outcome::<InviteMember>(invited.run).await;
        assert!(matches!(outcome, Err(CallError::App(NotJoined::Declined))));
        assert_eq!(invited.members().await?, ["ana"]);
        let late = invited.bob.call(Accept { id: invited.id }).await;
        let closed = InvitationStatus::Declined;
        assert!(matches!(late, Err(CallError::App(InvitationError::Closed { status })) if status == closed));
        Ok(())
    }

    #[forge::test]
    async fn an_invitation_that_nobody_answers_expires(cx: TestContext) -> TestResult {
        let invited = Invited::to_bob(&cx).await?;
        cx.advance(days(6)).await?;
        cx.run_workflows().await?;
        assert_eq!(invited.status().await?, InvitationStatus::Waiting);

        cx.advance(days(1)).await?;
        cx.run_workflows().await?;
        let outcome = cx.outcome::<InviteMember>(invited.run).await;
        assert!(matches!(outcome, Err(CallError::App(NotJoined::Expired))));
        // The compensation of the first step.
        assert_eq!(invited.status().await?, InvitationStatus::Expired);
        assert!(invited.bob.call(Received {}).await?.is_empty());
        let late = invited.bob.call(Accept { id: invited.id }).await;
        assert!(matches!(late, Err(CallError::App(InvitationError::Closed { .. }))));
        Ok(())
    }

    #[forge::test]
    async fn an_invitation_is_withdrawn_also_before_its_mail(cx: TestContext) -> TestResult {
        let invited = Invited::to_bob(&cx).await?;
        let Invited { ana, project, .. } = &invited;
        ana.call(Withdraw { id: invited.id }).await?;
        // The run has not ended yet, and is not found again.
        let second = ana.call(bob_to(*project)?).await?;
        assert_ne!(second, invited.run);
        cx.run_workflows().await?;
        assert_eq!(invited.status().await?, InvitationStatus::Withdrawn);

        let id = ana.call(List { project: *project }).await?[0].id;
        ana.call(Withdraw { id }).await?;
        cx.run_jobs().await?;
        cx.run_workflows().await?;
        let outcome = cx.outcome::<InviteMember>(second).await;
        assert!(matches!(outcome, Err(CallError::App(NotJoined::Withdrawn))));
        let lines = ana.call(List { project: *project }).await?;
        assert!(lines.iter().any(|line| line.id == id && line.mail.is_none()));
        Ok(())
    }

    #[forge::test]
    async fn a_person_who_is_invited_twice_is_invited_once(cx: TestContext) -> TestResult {
        let Invited { ana, bob, project, run, .. } = Invited::to_bob(&cx).await?;
        assert_eq!(ana.call(bob_to(project)?).await?, run);
        cx.run_workflows().await?;
        assert_eq!(bob.call(Received {}).await?.len(), 1);
        Ok(())
    }

    #[forge::test]
    async fn owners_invite_and_only_the_person_who_is_invited_answers(cx: TestContext) -> TestResult {
        let Invited { ana, bob, project, id, .. } = Invited::to_bob(&cx).await?;
        let eve = cx.as_user(person(&cx, "eve").await?.id);
        for stranger in [&ana, &eve] {
            let refused = stranger.call(Accept { id }).await;
            assert!(matches!(refused, Err(CallError::App(InvitationError::NotFound))));
        }
        let refused = bob.call(Withdraw { id }).await;
        assert!(matches!(refused, Err(CallError::App(InvitationError::NotFound))));
        assert!(eve.call(List { project }).await?.is_empty());
        let hidden = eve.call(bob_to(project)?).await;
        assert!(matches!(hidden, Err(CallError::App(InvitationError::ProjectNotFound))));
        bob.call(Accept { id }).await?;
        cx.run_workflows().await?;
        let invite = Invite { project, email: "eve@example.com".parse()?, term: Term::Day };
        let refused = bob.call(invite).await;
        assert!(matches!(refused, Err(CallError::App(InvitationError::OwnerOnly))));
        Ok(())
    }
}
