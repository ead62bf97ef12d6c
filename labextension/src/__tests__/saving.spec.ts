import { ISavable, saveAll } from '../saving';

function openDocument(
  name: string,
  hasUnsavedChanges: boolean,
  save: () => Promise<void> = () => Promise.resolve()
): ISavable & { saves: number } {
  const opened = {
    name,
    hasUnsavedChanges,
    saves: 0,
    save: () => {
      opened.saves += 1;
      return save();
    }
  };
  return opened;
}

describe('Saving before a stop', () => {
  it('saves what has unsaved changes, and nothing else', async () => {
    const dirty = openDocument('a.ipynb', true);
    const clean = openDocument('b.ipynb', false);
    expect(await saveAll([dirty, clean])).toEqual({ saved: 1, failed: [] });
    expect(dirty.saves).toBe(1);
    expect(clean.saves).toBe(0);
  });

  it('names what cannot be saved, and saves the rest', async () => {
    const bad = openDocument('full.ipynb', true, () =>
      Promise.reject(new Error('disk full'))
    );
    const good = openDocument('a.ipynb', true);
    expect(await saveAll([bad, good])).toEqual({
      saved: 1,
      failed: ['full.ipynb']
    });
  });

  it('does not wait for ever, as for a dialog that nobody answers', async () => {
    const asks = openDocument('asks.ipynb', true, () => new Promise(() => 0));
    const good = openDocument('a.ipynb', true);
    expect(await saveAll([asks, good], 20)).toEqual({
      saved: 1,
      failed: ['asks.ipynb']
    });
  });

  it('gives the server no longer names, and no more of them, than it takes', async () => {
    const fails = () => Promise.reject(new Error('no'));
    const many = Array.from({ length: 130 }, () =>
      openDocument('x'.repeat(300), true, fails)
    );
    const { failed } = await saveAll(many);
    expect(failed).toHaveLength(100);
    expect(failed[0]).toHaveLength(200);
  });

  it('is done at once where nothing is open', async () => {
    expect(await saveAll([])).toEqual({ saved: 0, failed: [] });
  });
});
