export interface AgentTypes {
  scanner: string;
  analyst: string;
}

/** scan → analyse (one task per file) → rank → report. What the steps do is in jobs.ts. */
export const demoWorkflow = (name: string, { scanner, analyst }: AgentTypes) => ({
  name,
  description: 'Reads a folder of source code with a fleet of agents and writes a report',
  tags: ['demo'],
  definition: {
    steps: [
      {
        key: 'scan',
        name: 'List the text files',
        agent_type: scanner,
        input: { folder: '${{ input.folder }}' },
      },
      {
        key: 'analyse',
        name: 'Analyse a file',
        agent_type: analyst,
        depends_on: ['scan'],
        for_each: 'steps.scan.output.files',
        max_parallel: 16,
        input: {
          root: '${{ steps.scan.output.root }}',
          path: '${{ item }}',
          max_bytes: '${{ steps.scan.output.analysis_bytes }}',
        },
      },
      {
        key: 'rank',
        name: 'Rank the files',
        agent_type: analyst,
        depends_on: ['analyse'],
        input: '${{ steps.analyse.output }}',
      },
      {
        key: 'report',
        name: 'Write the report',
        agent_type: scanner,
        depends_on: ['rank'],
        input: {
          path: '${{ input.report_path }}',
          folder: '${{ input.folder }}',
          ranking: '${{ steps.rank.output }}',
        },
      },
    ],
  },
});

export const STEP_KEYS = ['scan', 'analyse', 'rank', 'report'];
