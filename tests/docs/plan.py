PLAN={}
class Explained: pass
def wants(*a): pass
