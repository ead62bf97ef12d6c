"""What runs outside the instances: schedules, idle endpoints, guardrails, a budget that acts.

AWS Lambda runs it as it is: no part of Jupyter is imported here, boto3 only inside functions.
"""
