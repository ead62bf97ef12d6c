/** Saves what has unsaved changes, within a time limit, before the host stops. */

/** An open document, as far as saving goes. */
export interface ISavable {
  /** For people, as in "analysis.ipynb". */
  readonly name: string;
  readonly hasUnsavedChanges: boolean;
  /** Rejects where it cannot be saved. */
  save(): Promise<void>;
}

export interface ISaved {
  saved: number;
  /** The names of what could not be saved, or not in time. */
  failed: string[];
}

/** The server waits 10 seconds for a page; its answer has to travel too. */
export const SAVE_LIMIT_MS = 8000;

/** The longest name that the server takes, and how many. */
const NAME_LENGTH = 200;
const NAMES = 100;

/** Tell within the limit whether a document could be saved. */
async function savedInTime(
  document: ISavable,
  limitMs: number
): Promise<boolean> {
  let timer = 0;
  const late = new Promise<boolean>(resolve => {
    timer = window.setTimeout(() => resolve(false), limitMs);
  });
  try {
    return await Promise.race([document.save().then(() => true), late]);
  } catch {
    return false;
  } finally {
    window.clearTimeout(timer);
  }
}

/** Return the names of what has unsaved changes. */
export function unsavedNames(documents: Iterable<ISavable>): string[] {
  return namesOf([...documents].filter(each => each.hasUnsavedChanges));
}

function namesOf(documents: readonly ISavable[]): string[] {
  return documents.map(each => each.name.slice(0, NAME_LENGTH)).slice(0, NAMES);
}

/** Save every document with unsaved changes. Never rejects. */
export async function saveAll(
  documents: Iterable<ISavable>,
  limitMs = SAVE_LIMIT_MS
): Promise<ISaved> {
  const unsaved = [...documents].filter(each => each.hasUnsavedChanges);
  const outcomes = await Promise.all(
    unsaved.map(each => savedInTime(each, limitMs))
  );
  const failed = namesOf(unsaved.filter((_, index) => !outcomes[index]));
  return { saved: outcomes.filter(done => done).length, failed };
}
