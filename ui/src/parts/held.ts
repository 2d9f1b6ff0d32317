// The rows of a list of what comes and goes, the newest first. While a person reads, rows keep their places: those that change change in place,
// those that leave the list stay and say so, and those that are new wait to be shown.

/** A row has an id, and later ones have larger ids. */
export type Identified<Id extends string = string> = { readonly id: Id };

export type ShownRow<Row> = {
  readonly row: Row;
  /** The row is not among those that match the filter any more. */
  readonly isGone: boolean;
};

/** Rows kept at most while they keep their places. */
const KEPT_MAX = 400;

/** The rows after `answer`, when they need not keep their places. */
export function replaced<Row>(answer: readonly Row[]): readonly ShownRow<Row>[] {
  return answer.map((row) => ({ row, isGone: false }));
}

/** The rows after `answer`, when they keep their places. Older ones are added at the end. */
export function heldRows<Row extends Identified>(shown: readonly ShownRow<Row>[], answer: readonly Row[]): readonly ShownRow<Row>[] {
  const fresh = new Map(answer.map((row) => [row.id, row]));
  const oldest = answer.at(-1)?.id;
  const last = shown.at(-1)?.row.id;
  const kept = shown.map((held): ShownRow<Row> => {
    const row = fresh.get(held.row.id);
    if (row !== undefined) return { row, isGone: false };
    // An answer ends somewhere: about what is older than its last row it says nothing.
    return oldest !== undefined && held.row.id < oldest ? held : { ...held, isGone: true };
  });
  const older = last === undefined ? answer : answer.filter(({ id }) => id < last);
  return [...kept, ...replaced(older)].slice(0, KEPT_MAX);
}

/** How many of the rows `newest` are newer than `anchor`; and whether there may be more, since all of them are. */
export function newer(newest: readonly Identified[], anchor: string): Fresh {
  const count = newest.filter(({ id }) => id > anchor).length;
  return { count, isMore: count > 0 && count === newest.length };
}

export type Fresh = { readonly count: number; readonly isMore: boolean };

/** The id after `id`: the rows before it begin with that of `id` itself. */
export function idAfter<Id extends string>(id: Id): Id {
  const next = (BigInt(`0x${id.replaceAll("-", "")}`) + 1n).toString(16).padStart(32, "0");
  return next.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5") as Id;
}
