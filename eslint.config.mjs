import jupyterPlugin from '@jupyter/eslint-plugin';
import prettier from 'eslint-config-prettier';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig([
  globalIgnores([
    '**/node_modules/',
    '**/*.js',
    '**/*.mjs',
    '**/*.d.ts',
    '.venv*/',
    '.run/',
    'lib/',
    'jupyter_idle_culler/'
  ]),
  {
    files: ['labextension/src/**/*.{ts,tsx}'],
    extends: [tseslint.configs.recommended, prettier],
    plugins: { '@jupyter': jupyterPlugin },
    languageOptions: {
      parserOptions: { project: './tsconfig.test.json' }
    },
    rules: {
      '@typescript-eslint/naming-convention': [
        'error',
        {
          selector: 'interface',
          format: ['PascalCase'],
          custom: { regex: '^I[A-Z]', match: true }
        }
      ],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      // `namespace CommandIDs` is how JupyterLab names its commands.
      '@typescript-eslint/no-namespace': 'off',
      '@typescript-eslint/no-unnecessary-condition': 'off',
      curly: ['error', 'all'],
      eqeqeq: 'error',
      'prefer-arrow-callback': 'error'
    }
  }
]);
