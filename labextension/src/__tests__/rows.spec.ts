import { nullTranslator } from '@jupyterlab/translation';

import { IObservation } from '../api';
import { Model } from '../model';
import { rowsOf } from '../rows';
import { FakeClock, keepAlive, kernel, status } from './samples';

const trans = nullTranslator.load('test');

function observation(changes: Partial<IObservation>): IObservation {
  return {
    resource: 'host',
    source: 'processes',
    verdict: 'active',
    strength: 'work',
    detail: 'python sweep.py (tmux), 212 % CPU',
    at: null,
    age_seconds: null,
    value: 212,
    threshold: 5,
    unit: '%',
    ...changes
  };
}

describe('The rows of the panel', () => {
  let clock: FakeClock;
  let model: Model;

  beforeEach(() => {
    clock = new FakeClock();
    model = new Model(clock);
  });

  function explain(
    changes: Parameters<typeof status>[0],
    observations: IObservation[] = []
  ) {
    model.setExplanation(
      {
        status: status(changes),
        observations,
        limitations: [],
        other_cullers: [],
        would_happen: []
      },
      clock.monotonic()
    );
    return rowsOf(model, trans);
  }

  it('show an idle kernel with its own countdown and last evidence', () => {
    const [row] = explain({ kernels: [kernel()] });
    expect(row).toMatchObject({
      id: 'kernel:abc',
      name: 'train.ipynb',
      belongsTo: 'Python 3',
      state: 'idle 18 min',
      left: '42 min left',
      waits: false
    });
    expect(row.evidence).toMatch(/a cell ended \(Kernel\)$/);
  });

  it('go on counting', () => {
    explain({ kernels: [kernel()] });
    clock.pass(120);
    const [row] = rowsOf(model, trans);
    expect(row.state).toBe('idle 20 min');
    expect(row.left).toBe('40 min left');
  });

  it('show why a kernel is active, without a countdown', () => {
    const busy = kernel({
      verdict: 'active',
      reason: 'cell running for 2 h 10 min',
      culled_in_seconds: null
    });
    const [row] = explain({ kernels: [busy] });
    expect(row).toMatchObject({
      state: 'active',
      evidence: 'cell running for 2 h 10 min',
      left: ''
    });
  });

  it('tell where a busy kernel probably waits for something elsewhere', () => {
    const waits = { display_name: 'Python 3', waits_elsewhere: true };
    const [row] = explain({
      kernels: [kernel({ verdict: 'active', facts: waits })]
    });
    expect(row.waits).toBe(true);
  });

  it('know the keep-alive of that kernel only', () => {
    const keep_alives = [keepAlive({ resource: 'kernel:abc' })];
    const kernels = [kernel(), kernel({ id: 'other' })];
    const [one, other] = explain({ kernels, keep_alives });
    expect(one.kept?.id).toBe('k1');
    expect(other.kept).toBeNull();
  });

  it('show the sources of the host, background work first', () => {
    const rows = explain({}, [
      observation({
        source: 'presence',
        verdict: 'idle',
        detail: 'a person in the page',
        age_seconds: 1080,
        value: null
      }),
      observation({}),
      observation({ resource: 'kernel:abc' })
    ]);
    expect(rows.map(row => [row.id, row.name, row.state])).toEqual([
      ['host:processes', 'Background', 'active'],
      ['host:presence', 'You', 'idle 18 min']
    ]);
  });
});
