/**
 * Who may import whom. A domain calls only domains of a lower level; upwards it speaks by events
 * (docs/architecture.md). A new domain gets its place here first.
 */
const LEVELS = [
  ['auth', 'projects', 'files'],
  ['agents'],
  ['tasks'],
  ['workflows', 'artifacts'],
  ['hitl', 'suggestions', 'training', 'storyboard'],
  // These watch, or tidy up; nobody calls them.
  ['audit', 'metrics', 'retention', 'system-health', 'background-tasks', 'websocket', 'dashboard', 'logs'],
];

/** What a domain shows to others. */
const DOORS = ['\\.(module|service|events|entity)\\.ts$', '-(state|status)\\.ts$'];

/**
 * Doors that two domains have besides: agents say who an agent is and that it is there, which dispatch needs; tasks let
 * runs make, change and remove tasks inside a run's own transaction. A step is described like a task, and a workflow
 * shows its tasks: for that the few DTOs of tasks are shared, so that both say the same.
 */
const EXTRA_DOORS = [
  '^src/agents/(agent-presence|agent-ref|lease-seconds|agents\\.errors)\\.ts$',
  '^src/tasks/(task-lifecycle|task-store|task-removal|new-task|retry-policy)\\.ts$',
  '^src/tasks/dto/(task\\.response|list-tasks\\.query|create-task\\.dto|task-fields)\\.ts$',
];

const DOMAIN = '^src/(?!platform/)([^/]+)/';
const EVENTS = '\\.events\\.ts$';
const folders = (names) => `^src/(${names.join('|')})/`;

/** One rule per level: not its neighbours, and nobody above. */
const levelRules = LEVELS.map((names, index) => ({
  name: `level-${index + 1}-calls-only-lower-levels`,
  comment: 'Record an event and let the other domain listen to it.',
  severity: 'error',
  from: { path: folders(names) },
  to: { path: folders(LEVELS.slice(index).flat()), pathNot: ['^src/$1/', EVENTS] },
}));

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'A type alone is gone when the code runs, so it makes no cycle.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'platform-knows-no-domain', severity: 'error', from: { path: '^src/platform/' }, to: { path: DOMAIN } },
    {
      name: 'every-domain-has-a-level',
      comment: 'Give the new folder its place in LEVELS.',
      severity: 'error',
      from: { path: DOMAIN, pathNot: folders(LEVELS.flat()) },
      to: {},
    },
    ...levelRules,
    {
      name: 'domains-meet-at-their-doors',
      comment: 'Another domain is its module, service, events, entity and states. The rest is its own.',
      severity: 'error',
      from: { path: DOMAIN },
      to: { path: DOMAIN, pathNot: ['^src/$1/', ...DOORS, ...EXTRA_DOORS] },
    },
    {
      name: 'edges-do-not-touch-the-database',
      comment: 'A controller, a gateway, a processor and a listener translate; the service decides.',
      severity: 'error',
      from: { path: '\\.(controller|gateway|processor|listener)\\.ts$' },
      to: { path: 'node_modules/typeorm/|\\.entity\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'services-do-not-know-their-callers',
      severity: 'error',
      from: { path: '\\.service\\.ts$' },
      to: { path: '\\.(controller|gateway|processor|listener)\\.ts$' },
    },
    {
      name: 'data-does-not-know-services',
      comment: 'Entities, DTOs, events and errors are what services speak with.',
      severity: 'error',
      from: { path: '\\.(entity|events|errors)\\.ts$|/dto/', pathNot: '^src/platform/' },
      to: { path: '\\.(service|controller|gateway|processor|listener)\\.ts$' },
    },
    {
      name: 'states-import-nothing',
      comment: 'A table of states is data.',
      severity: 'error',
      from: { path: '-(state|status)\\.ts$', pathNot: '^src/platform/' },
      to: {},
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.d.ts'] },
  },
};
