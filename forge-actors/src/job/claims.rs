//! One claim: the statements by which a node takes jobs of a queue, with their limits and resources.

use super::limits::LimitedJob;
use super::shared::JobShared;
use super::store::{ClaimSize, Claimant, ClaimedJobs, JobRecord, LimitedClaim};
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::halving::{HalvedBatch, RefusedRow, write_by_halves};
use crate::kernel::ids::LeaseId;

/// Claims jobs, and begins the first ones that their own rows hold. Returns them, and how many jobs a limit
/// has blocked. When the database refuses one of the rows, all of them are claimed on their rows, and none
/// begins: the next begin is a batch in which the refused job is found.
pub(super) async fn claim(
    shared: &JobShared,
    queue: &str,
    size: ClaimSize,
) -> Result<(Vec<JobRecord>, usize), Fault> {
    let left = shared.resources.left(&shared.leases);
    let fitting = shared.resources.fitting(&shared.names, &left);
    let claimant = |batch| Claimant {
        node: shared.node,
        names: &fitting,
        lease: shared.config.lease,
        batch,
        limited: shared.limits.names(),
        needing: shared.resources.names(),
    };
    let batch = shared.claims_in_batches().await?.then(LeaseId::new);
    if let Some(claimed) = shared.claim_within_limit(queue, claimant(batch), size, false).await? {
        return Ok(claimed);
    }
    let claimed = match shared.store.claim(queue, claimant(batch), size).await {
        Err(fault) if fault.blames_row() => {
            shared.store.claim(queue, claimant(None), ClaimSize { begin: 0, ..size }).await
        }
        claimed => claimed,
    };
    let ClaimedJobs { mut records, limited } = claimed?;
    if limited.is_empty() {
        let within_limit = match records.is_empty() {
            true => shared.claim_within_limit(queue, claimant(batch), size, true).await?,
            false => None,
        };
        return Ok(within_limit.unwrap_or((records, 0)));
    }
    let limited = shared.admissible(limited, left);
    // The jobs above are held: a failure here must not lose them.
    match claim_limited(shared, &limited, claimant(None)).await {
        Ok(claim) => {
            records.extend(claim.records);
            shared.unblock_later(claim.opening, claim.full);
            Ok((records, claim.blocked))
        }
        Err(fault) if records.is_empty() => Err(fault),
        Err(fault) => {
            tracing::warn!(queue, error = error_chain(&fault), "claim of jobs with a limit failed; retrying");
            Ok((records, 0))
        }
    }
}

/// Claims jobs with a limit. When the database refuses one of the rows, none of them begins with the claim;
/// one that it refuses all the same is left for the next poll.
async fn claim_limited(
    shared: &JobShared,
    limited: &[LimitedJob],
    claimant: Claimant<'_>,
) -> Result<LimitedClaim, Fault> {
    match shared.store.claim_limited(limited, claimant, &shared.limits).await {
        Err(fault) if fault.blames_row() => {}
        claimed => return claimed,
    }
    let waiting: Vec<_> = limited.iter().map(|job| LimitedJob { begins: false, ..job.clone() }).collect();
    let claim = |part| shared.store.claim_limited(&waiting[part], claimant, &shared.limits);
    let HalvedBatch { written, refused } = write_by_halves(waiting.len(), claim).await?;
    for RefusedRow { row, fault } in refused {
        tracing::error!(job = %waiting[row].id, error = error_chain(&fault), "claim refused by the database");
    }
    let mut all = LimitedClaim::default();
    for claim in written {
        all.records.extend(claim.records);
        all.blocked += claim.blocked;
        all.opening.extend(claim.opening);
        all.full.extend(claim.full);
    }
    Ok(all)
}
