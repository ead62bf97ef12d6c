import { nullTranslator } from '@jupyterlab/translation';

import { ILastStop } from '../api';
import {
  factsOfLastStop,
  stoppedDetail,
  stoppedHeading,
  unsavedText
} from '../stopped';

const trans = nullTranslator.load('test');

function lastStop(changes: Partial<ILastStop> = {}): ILastStop {
  return {
    at: new Date(2026, 0, 14, 17, 42).toISOString(),
    reason: 'idle for 60 min',
    evidence: 'a cell ended',
    idle_seconds: 3600,
    asked_by: null,
    stop_action: 'server',
    saved_documents: 1,
    unsaved_documents: [],
    silent_pages: 0,
    kernels: ['train.ipynb', 'analysis.ipynb'],
    terminals: ['Terminal 1'],
    ...changes
  };
}

describe('What is told of the last stop', () => {
  it.each([
    [{}, 'Your notebooks were saved'],
    [{ saved_documents: 0 }, 'Nothing was left unsaved'],
    [{ silent_pages: 1 }, '1 open page did not say what it saved'],
    [
      { silent_pages: 1, unsaved_documents: ['a.ipynb', 'b.ipynb'] },
      '2 documents could not be saved'
    ]
  ])('of %p is that %p', (changes, documents) => {
    const facts = factsOfLastStop(lastStop(changes));
    expect(stoppedDetail(facts, trans)).toBe(
      `${documents}; 2 kernels and 1 terminal were shut down.`
    );
  });

  it('fits into a notification, which the lab cuts at 140 characters', () => {
    const long = 'a very long name '.repeat(20);
    const facts = factsOfLastStop(lastStop({ unsaved_documents: [long] }));
    const text = `${stoppedHeading(facts, trans)} ${stoppedDetail(facts, trans)}`;
    expect(text.length).toBeLessThanOrEqual(140);
    expect(unsavedText(facts, trans)).toContain(long);
  });
});
