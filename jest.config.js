const jestJupyterLab = require('@jupyterlab/testing/lib/jest-config');

// These come as ES modules only.
const esModules = [
  '@codemirror',
  '@jupyter',
  '@jupyterlab',
  '@microsoft',
  '@rjsf',
  'exenv-es6',
  'lib0',
  'nanoid',
  'vscode-ws-jsonrpc',
  'y-protocols',
  'y-websocket',
  'yjs'
].join('|');

module.exports = {
  ...jestJupyterLab(__dirname),
  automock: false,
  modulePathIgnorePatterns: [
    '<rootDir>/jupyter_idle_culler/',
    '<rootDir>/lib/',
    '<rootDir>/\\.venv',
    '<rootDir>/\\.run/'
  ],
  reporters: ['default'],
  collectCoverage: false,
  testRegex: 'labextension/src/.*/.*\\.spec\\.tsx?$',
  transformIgnorePatterns: [`/node_modules/(?!${esModules}).+`]
};
