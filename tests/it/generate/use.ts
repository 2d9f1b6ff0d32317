/** How applications use a generated `api.ts`; what must be refused says so above. The compiler reads it, nothing runs it. */

import { createForge, unwrap, type Forge, type JobHandle, type Result, type WorkflowHandle } from "@forge/client";
import { api, contract, type Animal, type AnimalId, type FeedError, type Json, type Mood, type Page } from "./api.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <Claim extends true>(claim?: Claim): Claim | undefined => claim;

export const forge: Forge = createForge({ url: "/", contract });

export async function calls(id: AnimalId, mood: Mood | undefined): Promise<void> {
  await forge.mutate(api.zoo.feed, { animal: id, diet: { mixed: { plantShare: 1 } } });
  await forge.mutate(api.zoo.feed, { animal: id, diet: "nothing" });
  await forge.call(api.zoo.night.openGate, { by: ["ana", 1] });
  await forge.call(api.zoo.anyOne);
  await forge.call(api.zoo.list, { page: 1 });
  await forge.call(api.zoo.list, { page: 1, mood: null, names: ["Leo"] });
  await forge.call(api.zoo.list, { page: 1, mood });
  const page = await forge.call(api.zoo.list, { page: 1 });
  holds<Equal<typeof page, Result<Page<Animal>, never>>>();

  // @ts-expect-error a plain text is no id
  await forge.mutate(api.zoo.feed, { animal: "a", diet: "nothing" });
  // @ts-expect-error an argument is missing
  await forge.mutate(api.zoo.feed, { animal: id });
  // @ts-expect-error an argument that there is not
  await forge.mutate(api.zoo.feed, { animal: id, diet: "nothing", quickly: true });
  // @ts-expect-error no such variant
  await forge.mutate(api.zoo.feed, { animal: id, diet: "hay" });
  // @ts-expect-error a query is no mutation
  await forge.mutate(api.zoo.list, { page: 1 });
  // @ts-expect-error a mutation cannot be watched
  forge.watch(api.zoo.feed, { animal: id, diet: "nothing" });
  // @ts-expect-error no such label
  await forge.call(api.zoo.list, { page: 1, mood: "happy" });
  // @ts-expect-error it takes no arguments
  await forge.call(api.zoo.anyOne, { page: 1 });
  // @ts-expect-error what only handlers call is not here
  api.zoo.hidden;
}

export function reads(animal: Animal): unknown[] {
  const cage: string | undefined = animal.byCage[7];
  const calm: number | undefined = animal.byMood.calm;
  const [first, second] = animal.houses;
  const bars = first.type === "cage" ? first.barCount : second.type;
  const stars: bigint = BigInt(animal.stars);
  const notes: Json = animal.notes;
  const nickname: string | null | undefined = animal.nickname;
  // @ts-expect-error there may be none
  animal.byKeeper["ana"].length;
  // @ts-expect-error a large number is a text
  Math.abs(animal.stars);
  return [cage, calm, bars, stars, notes, nickname, animal.visitors + 1, animal.heightCm, animal["class-name"]];
}

export async function errors(id: AnimalId): Promise<number | string> {
  const fed = await forge.mutate(api.zoo.feed, { animal: id, diet: "nothing" });
  holds<Equal<typeof fed, Result<AnimalId, FeedError>>>();
  if (fed.ok) return fed.data;
  if (fed.error.kind === "system") return fed.error.system.code;
  const { app } = fed.error;
  switch (app.code) {
    case "FULL":
      return app.details.until ?? app.details.gramsEaten;
    case "NO_ANIMAL":
      return app.details ?? app.message;
    default:
      return app satisfies never;
  }
}

export async function jobs(id: AnimalId): Promise<number | string | undefined> {
  const washing = unwrap(await forge.mutate(api.zoo.washLater, { animal: id }));
  const { current } = forge.job(washing);
  if (current.status === "completed") return current.result.items[0];
  if (current.isEnded && current.error.kind === "app" && current.error.app.code === "FULL") return current.error.app.details.gramsEaten;
  // @ts-expect-error it may not have ended
  current.result.items;
  const [clipping] = unwrap(await forge.mutate(api.zoo.clipLater, { animal: id }));
  holds<Equal<typeof clipping, JobHandle<null> | undefined>>();
  // @ts-expect-error the handle of a job with another result
  const other: JobHandle<string> = washing;
  return other;
}

export async function runs(id: AnimalId): Promise<number | string | undefined> {
  const adoption = unwrap(await forge.mutate(api.zoo.adopt, { animal: id }));
  const { current } = forge.workflow(adoption);
  if (current.status === "completed") return current.result;
  if (current.isEnded && current.error.kind === "app" && current.error.app.code === "FULL") return current.error.app.details.gramsEaten;
  // @ts-expect-error a run is no job
  forge.job(adoption);
  // @ts-expect-error the handle of a run with another result
  const other: WorkflowHandle<string> = adoption;
  return other;
}
