package match
import ("testing";"time";"fmt";"math/rand/v2")
func TestZZ(t *testing.T){
 r:=rand.New(rand.NewPCG(1,2))
 for _,n:=range []int{1024,2048,4096}{ 
 for _,noise:=range []float64{0,0.01,.05}{
 p:=make([]float64,n*n)
 l:=make([]float64,2*n); for k:=range l{l[k]=.3+.65*r.Float64()}
 for i:=range n{for j:=range n{p[i*n+j]=l[i]*l[n+j]+noise*r.NormFloat64()}}
 s:=time.Now();Assign(n,p);fmt.Println("assign",n,noise,time.Since(s))
 }}
}
