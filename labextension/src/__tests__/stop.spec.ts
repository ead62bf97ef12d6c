import { Signal } from '@lumino/signaling';

import { Api, IPage, UnreachableError } from '../api';
import { Client } from '../client';
import { DECISION_SCHEMA, IDecisionEvent, IEmission } from '../events';
import { Model } from '../model';
import { ISavable } from '../saving';
import { StopWatcher } from '../stop';
import { factsOfStop, stoppedDetail, stoppedHeading } from '../stopped';
import { nullTranslator } from '@jupyterlab/translation';
import { FakeClock, kernel, status } from './samples';

const trans = nullTranslator.load('test');

function decision(
  stage: IDecisionEvent['stage'],
  changes: Partial<IDecisionEvent> = {}
): IDecisionEvent & IEmission {
  return {
    schema_id: DECISION_SCHEMA,
    time: '2026-01-15T17:42:00+00:00',
    stage,
    action: 'stop',
    kind: 'host',
    resource: '',
    reason: 'idle for 60 min',
    idle_since: '2026-01-15T16:42:00+00:00',
    in_seconds: null,
    detail: '',
    ...changes
  };
}

/** Answers without a network, and notes what a page says. */
class RecordingApi extends Api {
  override page(page: IPage): Promise<null> {
    this.pages.push(page);
    return Promise.resolve(null);
  }

  override status() {
    return this.isGone
      ? Promise.reject(new UnreachableError('gone'))
      : Promise.resolve(status());
  }

  pages: IPage[] = [];
  isGone = false;
}

describe('A stop', () => {
  let clock: FakeClock;
  let model: Model;
  let api: RecordingApi;
  let client: Client;
  let watcher: StopWatcher;
  let emitted: Signal<object, IEmission>;
  let opened: ISavable;
  let dirty: boolean;
  let saves: number;

  beforeEach(() => {
    clock = new FakeClock();
    model = new Model(clock);
    api = new RecordingApi();
    emitted = new Signal<object, IEmission>({});
    const failed = new Signal<object, unknown>({});
    client = new Client(model, api, clock, { emitted, failed });
    dirty = true;
    saves = 0;
    opened = {
      name: 'a.ipynb',
      get hasUnsavedChanges() {
        return dirty;
      },
      save: () => {
        dirty = false;
        saves += 1;
        return Promise.resolve();
      }
    };
    watcher = new StopWatcher(client, 'page-1', () => [opened], clock);
    model.setStatus(status({ kernels: [kernel()] }), clock.monotonic());
  });

  afterEach(() => {
    watcher.dispose();
    client.dispose();
  });

  async function settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn += 1) {
      await Promise.resolve();
    }
  }

  it('is answered once everything is saved', async () => {
    emitted.emit(decision('decided'));
    await settle();
    expect(saves).toBe(1);
    expect(api.pages).toEqual([
      { page: 'page-1', open: true, saved: 1, failed: [] }
    ]);
    expect(model.stop?.stage).toBe('stopping');
  });

  it('is answered with none saved where nothing was unsaved', async () => {
    dirty = false;
    emitted.emit(decision('decided'));
    await settle();
    expect(api.pages[0].saved).toBe(0);
  });

  it('is said plainly when it is done', async () => {
    emitted.emit(decision('decided'));
    await settle();
    emitted.emit(decision('done'));
    const { stop } = model;
    expect(stop?.stage).toBe('stopped');
    const facts = stop && factsOfStop(stop);
    expect(facts && stoppedHeading(facts, trans)).toMatch(
      /^Stopped at .* after 60 idle minutes\.$/
    );
    expect(facts && stoppedDetail(facts, trans)).toBe(
      'Your notebooks were saved; 1 kernel was shut down.'
    );
  });

  it('tells of what was culled for the same idleness, once', async () => {
    const culled = { action: 'cull', kind: 'kernel' } as const;
    const before = { ...culled, time: '2026-01-15T16:00:00+00:00' };
    emitted.emit(decision('done', { ...before, resource: 'long-gone' }));
    emitted.emit(decision('done', { ...culled, resource: 'just-gone' }));
    emitted.emit(decision('done', { ...culled, resource: kernel().id }));
    emitted.emit(decision('decided'));
    await settle();
    expect(model.stop?.kernels).toBe(2);
  });

  it('lists what was still unsaved when it came, until that is saved', async () => {
    let saved: () => void = () => undefined;
    opened.save = () =>
      new Promise(resolve => {
        saved = () => {
          dirty = false;
          resolve();
        };
      });
    emitted.emit(decision('decided'));
    emitted.emit(decision('done'));
    expect(model.stop?.failed).toEqual(['a.ipynb']);
    saved();
    await settle();
    expect(model.stop?.stage).toBe('stopped');
    expect(model.stop?.failed).toEqual([]);
    expect(model.stop?.saved).toBe(1);
  });

  it('is forgotten once the server answers again', async () => {
    emitted.emit(decision('decided'));
    await settle();
    api.isGone = true;
    await client.refresh();
    expect(model.stop?.stage).toBe('stopped');
    api.isGone = false;
    await client.refresh();
    expect(model.stop).toBeNull();
  });

  it('that fell due unseen is what the silence probably means', async () => {
    const due = status();
    const { stops_in_seconds: left } = due.host;
    model.setStatus(due, clock.monotonic());
    clock.now += (left ?? 0) * 1000 + 1000; // the other stands still in a machine that sleeps
    api.isGone = true;
    await client.refresh();
    const facts = model.stop && factsOfStop(model.stop);
    expect(facts && stoppedHeading(facts, trans)).toMatch(
      /^It was due to stop for idleness at .*, and does not answer any more\.$/
    );
    expect(facts && stoppedDetail(facts, trans)).toBe(
      '1 document could not be saved.'
    );
  });

  it('is what the silence after its announcement means', async () => {
    emitted.emit(decision('decided'));
    await settle();
    api.isGone = true;
    await client.refresh();
    expect(model.stop?.stage).toBe('stopped');
  });

  it('is not what any other silence means', async () => {
    api.isGone = true;
    await client.refresh();
    expect(model.connection).toBe('unreachable');
    expect(model.stop).toBeNull();
  });

  it.each(['withdrawn', 'failed'] as const)(
    'leaves the page as it was when it is %s',
    async stage => {
      const reasons: string[] = [];
      watcher.cameToNothing.connect((_, reason) => reasons.push(reason));
      emitted.emit(decision('decided'));
      await settle();
      emitted.emit(decision(stage, { detail: 'new evidence came' }));
      expect(model.stop).toBeNull();
      expect(reasons).toEqual(['new evidence came']);
    }
  );

  it('of a kernel is none of the host', async () => {
    emitted.emit(decision('decided', { action: 'cull', kind: 'kernel' }));
    await settle();
    expect(model.stop).toBeNull();
    expect(api.pages).toEqual([]);
  });

  it('that a person asked for counts what was saved before it', async () => {
    await watcher.save();
    watcher.asked();
    emitted.emit(decision('decided', { idle_since: null }));
    await settle();
    expect(api.pages[0].saved).toBe(1);
    emitted.emit(decision('done'));
    const facts = model.stop && factsOfStop(model.stop);
    expect(facts?.idleSeconds).toBeNull();
    expect(facts && stoppedHeading(facts, trans)).toMatch(/as was asked for/);
  });

  it('of a dry run saves nothing', async () => {
    model.setStatus(status({ dry_run: true }), clock.monotonic());
    emitted.emit(decision('decided'));
    await settle();
    expect(saves).toBe(0);
    expect(model.stop).toBeNull();
    expect(api.pages).toEqual([]);
  });
});
