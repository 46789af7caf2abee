// Must be imported before @contextvm/sdk, which reads this when it loads.
process.env.LOG_ENABLED = 'false';
