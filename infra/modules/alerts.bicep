// Alerts on what a person must look at: data or messages that failed at every try, failing functions, no poll.
param token string
param location string
param tags object
param insightsId string
@description('Empty: alerts are only shown in the portal.')
param email string

// A function that reads a poison queue runs only when something failed at every try.
var rules = [
  {
    name: 'poison-messages'
    text: 'Data or a message failed at every try. `python -m shared data` and `requests` say which and why.'
    query: 'requests | where name endswith "watch_poisoned_blobs" or name endswith "watch_poisoned_promotions"'
    severity: 2
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'failing-functions'
    text: 'Functions fail. `python -m shared doctor` looks at everything that they need.'
    query: 'requests | where success == false'
    severity: 2
    operator: 'GreaterThan'
    threshold: 4
  }
  {
    name: 'no-poll'
    text: 'The app has not polled its jobs for ten minutes: no training goes on, and no bad model is taken back.'
    query: 'requests | where name endswith "poll_jobs" and success == true'
    severity: 1
    operator: 'LessThan'
    threshold: 1
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: 'ag-relearn-${token}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'relearn'
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: 'alert-${rule.name}-${token}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Relearn: ${rule.name}'
      description: rule.text
      enabled: true
      severity: rule.severity
      scopes: [
        insightsId
      ]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT10M'
      autoMitigate: true
      skipQueryValidation: true // the table of requests may not be there before the first of them
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: empty(email) ? [] : [
          people.id
        ]
      }
    }
  }
]
